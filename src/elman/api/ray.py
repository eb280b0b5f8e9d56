"""Score, read and continue texts on a cluster, with Ray Data: `score`, `surprisal` and `generate` of a dataset.

The model is loaded once in each actor; its file is sent there, so that only the dataset's files must be readable from
all nodes. Rows come in the order of the dataset, and keep their columns. Ray repeats the work of an actor that is lost:
no row is lost, and none comes twice.
"""

import contextlib
import hashlib
import importlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from elman.errors import ConfigError, MissingExtra
from elman.formats.model_file import model_file
from elman.parsing import reason
from elman.text.sources import GROUP
from elman.text_model import Model, TextModel, load
from elman.training.text_parts import TextReader


def score(
    dataset: Any,
    model: Model,
    column: str = "text",
    *,
    concurrency: int | tuple[int, int] | None = None,
    **options: Any,
) -> Any:
    """Return a dataset with the log probability of the text in every row, as new columns beside the others.

    The columns, and their values to the last bit, are those of `TextModel.score_lines` on the same lines. Nothing is
    computed before the result is read: ``write_parquet``, ``iter_rows``.

    Args:
        dataset: a ``ray.data.Dataset``, for instance ``ray.data.read_parquet("pages/")`` or `read_lines`.
        model: a model, or the path of its file or run folder on this machine.
        column: the column of the text, a line in each row.
        concurrency: the number of actors, or the least and the most; by default one for each processor of the cluster
            that is not needed for reading.
        **options: ``unit`` and ``normalize`` of `TextModel.score_lines`.

    Raises:
        ConfigError: the dataset has no such column, has one with the name of a result, or an option is unknown.
        MissingExtra: Ray is not installed.
    """
    _check(options, ("unit", "normalize"), "score")
    return _mapped(_Score, dataset, model, column, concurrency, options)


def surprisal(
    dataset: Any,
    model: Model,
    column: str = "text",
    *,
    concurrency: int | tuple[int, int] | None = None,
    **options: Any,
) -> Any:
    """Return a dataset with the surprisal of every word of the text in every row.

    The new columns are those of `TextModel.surprisal`; each holds a list, with a value for every word.

    Args:
        dataset, model, column, concurrency: see `score`.
        **options: ``per``, ``bos``, ``eos``, ``case`` and ``punctuation`` of `TextModel.surprisal`.

    Raises:
        ConfigError, MissingExtra: see `score`.
    """
    _check(options, ("per", "bos", "eos", "case", "punctuation"), "surprisal")
    return _mapped(_Surprisal, dataset, model, column, concurrency, options)


def generate(
    dataset: Any,
    model: Model,
    column: str = "text",
    *,
    seed: int | None = None,
    concurrency: int | tuple[int, int] | None = None,
    **options: Any,
) -> Any:
    """Return a dataset with a column ``generated``: the text in every row, and what the model writes after it.

    Args:
        dataset, model, column, concurrency: see `score`.
        seed: of the random numbers: the text of a row then depends only on this number and on its prompt. None: another
            text every time.
        **options: ``length``, ``temperature``, ``top_k``, ``top_p``, ``greedy`` and ``unk`` of `TextModel.generate`.

    Raises:
        ConfigError, MissingExtra: see `score`.
    """
    _check(options, ("length", "temperature", "top_k", "top_p", "greedy", "unk"), "generate")
    return _mapped(_Generate, dataset, model, column, concurrency, {**options, "seed": seed})


@contextlib.contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to a cluster within the block: "auto" is the one on this machine, "local" starts one.

    A connection that there is already is used, and stays.

    Raises:
        ConfigError: there is no cluster at the address.
        MissingExtra: Ray is not installed.
    """
    ray, data = _ray(), _ray("data")
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"there is no cluster of Ray at {address!r}: {reason(error)}") from error
    data.DataContext.get_current().enable_progress_bars = False
    try:
        yield
    finally:
        ray.shutdown()


def read_lines(
    *files: str | os.PathLike[str],
    column: str | None = None,
    encoding: str = "utf-8",
    errors: str = "strict",
) -> Any:
    """Return a dataset with the lines of files in its column ``text``, read part by part, on any node.

    Files may be compressed, which makes each one part. With ``column`` they are tables (Parquet, JSON Lines, CSV or
    TSV), and this column holds the lines. The files must be at the same place on every node.

    Raises:
        TextError: a file cannot be read.
        ConfigError: a table has no such column.
        MissingExtra: Ray is not installed.
    """
    reader = TextReader("word", False, encoding, errors, column)
    parts = reader.parts([Path(each).absolute() for each in files])
    data = _ray("data")
    if not parts:
        return data.from_items([])
    places = data.from_items([{"part": k} for k in range(len(parts))], override_num_blocks=len(parts))
    return places.flat_map(_Lines(reader, parts))


class _Lines:
    """Reads the lines of a part."""

    def __init__(self, reader: TextReader, parts: list[Any]) -> None:
        self._reader, self._parts = reader, parts

    def __call__(self, row: Mapping[str, Any]) -> Any:
        for line in self._reader.lines(self._parts[row["part"]]):
            yield {"text": line}


def _check(options: Mapping[str, Any], known: tuple[str, ...], function: str) -> None:
    for name in options:
        if name not in known:
            raise ConfigError(f"`elman.ray.{function}` has no option `{name}`; it has {', '.join(known)}")


def _ray(module: str = "") -> Any:
    try:
        return importlib.import_module(f"ray.{module}" if module else "ray")
    except ModuleNotFoundError as error:
        raise MissingExtra("ray", "ray") from error


def _mapped(
    actor: Any,
    dataset: Any,
    model: Model,
    column: str,
    concurrency: int | tuple[int, int] | None,
    options: dict[str, Any],
) -> Any:
    ray = _ray()
    names = dataset.columns(fetch_if_missing=False)
    if names is not None:
        _check_column(column, names)
    if concurrency is None:
        concurrency = (1, max(1, int(ray.cluster_resources().get("CPU", 1)) - 1))
    least, most = (concurrency, concurrency) if isinstance(concurrency, int) else concurrency
    content = ray.put(_content(model))
    # lines are scored in the groups in which `score_lines` scores them: other groups could differ in the last bit
    groups = dataset.repartition(target_num_rows_per_block=GROUP, strict=True)
    groups.context.execution_options.preserve_order = True
    return groups.map_batches(
        actor,
        batch_size=GROUP,
        batch_format="pyarrow",
        fn_constructor_args=(content, column, options),
        compute=_ray("data").ActorPoolStrategy(min_size=least, max_size=most),
    )


def _check_column(column: str, names: Sequence[str]) -> None:
    if column not in names:
        raise ConfigError(f"the dataset has no column {column!r}; its columns: {', '.join(map(repr, names))}")


def _content(model: Model) -> bytes:
    """Return the model file of a model."""
    if not isinstance(model, TextModel):
        return model_file(Path(model)).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        model.save(path)
        return path.read_bytes()


class _Actor(ABC):
    """Loads the model once, and adds columns to batches of rows, which are tables of pyarrow."""

    def __init__(self, content: Any, column: str, options: dict[str, Any]) -> None:
        data = _ray().get(content)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model")
            path.write_bytes(data)
            self.model = load(path)
        self.column, self.options = column, options

    def __call__(self, batch: Any) -> Any:
        arrow = importlib.import_module("pyarrow")
        _check_column(self.column, batch.column_names)
        for name, values in self.columns_of(batch.column(self.column).to_pylist()).items():
            if name in batch.column_names:
                raise ConfigError(f"the result has a column {name!r} of its own; rename that of the dataset")
            batch = batch.append_column(name, arrow.array(values))
        return batch

    @abstractmethod
    def columns_of(self, texts: list[str]) -> dict[str, list[Any]]:
        """Return the new columns: a value for each text."""


class _Score(_Actor):
    def columns_of(self, texts: list[str]) -> dict[str, list[Any]]:
        columns = self.model.score_lines(texts, **self.options).to_dict()
        return {name: values for name, values in columns.items() if name != "text"}


class _Surprisal(_Actor):
    def columns_of(self, texts: list[str]) -> dict[str, list[Any]]:
        table = self.model.surprisal(texts, **self.options)
        names = [name for name in table.columns if name != "sentence"]
        columns: dict[str, list[Any]] = {name: [[] for _ in texts] for name in names}
        for row in table:
            values = table.row_dict(row)
            for name in names:
                columns[name][row.sentence - 1].append(values[name])
        return columns


class _Generate(_Actor):
    def columns_of(self, texts: list[str]) -> dict[str, list[Any]]:
        options = {name: value for name, value in self.options.items() if name != "seed"}
        seed = self.options["seed"]
        return {
            "generated": [
                self.model.generate(text, seed=None if seed is None else _seed_of(seed, text), **options)
                for text in texts
            ]
        }


def _seed_of(seed: int, prompt: str) -> int:
    digest = hashlib.sha256(f"{seed}\n{prompt}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8], "big")
