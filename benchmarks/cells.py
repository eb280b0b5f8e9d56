"""Loss at equal time, cell by cell: `python benchmarks/cells.py --corpus tinyshakespeare --minutes 3 -o cells`.

Trains a model of every cell on one text for the same time, one training after another, each in a process of its own
with ``--threads`` threads. The clock runs while a model is trained, and stands still while a text is encoded, compiled
code is loaded, or a loss is measured. In the course of a training the loss is measured several times on the beginning
of the validation text; the weights that were best there are measured on the whole validation and test texts.

Prints a Markdown table. FOLDER gets the numbers as JSON (each training as soon as it is over: a later call adds to
them), the learning curves as a picture, and the encoded text. Corpora come from $ELMAN_DATA.

The sizes of a cell are those in `SIZES`, or the text's own. ``--tune`` chooses them: it trains every size of
`Text.candidates` for ``--minutes`` and the best one with two other learning rates, compares them on the validation text
only, and prints lines for `SIZES`. ``--equal parameters`` keeps the number of layers and takes the width that gives a
model as many parameters as the plain LSTM has.
``--quick`` trains tiny models of a built-in text on a few blocks, to see that the script works.
"""

import argparse
import json
import math
import multiprocessing
import os
import re
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import elman
from elman.backend import Backend
from elman.benchmark.floor import Product
from elman.errors import ElmanError, TrainingDiverged
from elman.formats.versions import versions
from elman.models.parameters import CELLS
from elman.plots import COLOURS, MARKERS, finish, new_figure, save
from elman.text.registry import builtin_content
from elman.training.config import Config
from elman.training.encoded_folder import encoded_options
from elman.training.model_options import new_model
from elman.training.progress import BlockDone, Event
from elman.training.run import TrainingRun
from tables import markdown

POINTS = 12  # of a learning curve
CURVE_TOKENS = 10_000  # of the validation text that a point is measured on
SEQUENCES = 10  # that the validation text is read as; the test text is read as one
WIDTHS = range(8, 4097, 8)  # for as many parameters as another model has
BUSY = 0.95  # of a core: a training that got less was disturbed
IN_THE_LOOP = re.compile(r"\d+\.(Wh|[QR]\d+)")  # the weights that multiply h_{t-1}, step by step


@dataclass(frozen=True)
class Size:
    """What is chosen for a cell on a text."""

    layers: int
    hidden: int
    lr: float
    wordvec: int | None = None  # None: that of the text


@dataclass(frozen=True)
class Text:
    """A corpus: where its texts are, how they are read, and in which unit a loss is reported.

    ``files`` are those of the training, validation and test text; a single file is cut into 80, 10 and 10 % of its
    characters. ``options`` are those of the training, besides the size.
    """

    files: tuple[str, ...]
    unit: str
    loss: Callable[[Any], float]  # from what `TextModel.evaluate` returns
    options: dict[str, Any]
    size: Size  # of a cell that is not in `SIZES`
    candidates: tuple[Size, ...]


def nats_per_token(found: Any) -> float:
    return float(found.nll_nats / found.tokens)


CHARACTERS = {"wordvec": 64, "embedding_scale": 0.1, "batch_size": 32, "time_size": 64}
WORDS = {
    "wordvec": 200,
    "embedding_scale": 0.1,
    "softmax": "sampled",
    "candidates": 2000,
    "batch_size": 32,
    "time_size": 35,
}
SHARED = {
    "optimizer": "adam",
    "schedule": "cosine",
    "clip_norm": 1.0,
    "epochs": 1_000_000,
    "checkpoint_every": 1e9,
}
LAYERS_AND_WIDTHS = ((1, 128), (1, 256), (1, 512), (2, 128), (2, 256), (2, 384))
OF_CHARACTERS = tuple(Size(layers, hidden, 0.004) for layers, hidden in LAYERS_AND_WIDTHS)
OF_WORDS = tuple(Size(layers, hidden, 0.003) for layers in (1, 2) for hidden in (200, 300, 400))
TEXTS = {
    "tinyshakespeare": Text(
        ("tinyshakespeare/input.txt",),
        "nats per character",
        nats_per_token,
        {"level": "char", **CHARACTERS},
        Size(1, 256, 0.004),
        OF_CHARACTERS,
    ),
    "ptb": Text(
        ("ptb/ptb.train.txt", "ptb/ptb.valid.txt", "ptb/ptb.test.txt"),
        "perplexity per word",
        attrgetter("perplexity"),
        {"level": "word", **WORDS},
        Size(1, 300, 0.003),
        OF_WORDS,
    ),
    "wikitext-2": Text(
        ("wikitext-2/train.txt", "wikitext-2/valid.txt", "wikitext-2/test.txt"),
        "bits per character",
        attrgetter("bits_per_char"),
        {"level": "subword", "vocab_size": 8000, **WORDS},
        Size(1, 300, 0.003),
        OF_WORDS,
    ),
    "korean": Text(
        ("korean/wikinews.txt",),
        "bits per byte",
        attrgetter("bits_per_byte"),
        {"level": "byte", **CHARACTERS},
        Size(1, 256, 0.004),
        OF_CHARACTERS,
    ),
}
BUILT_IN = "prose-en"
QUICK = Text(
    (),
    "nats per character",
    nats_per_token,
    {"level": "char", "wordvec": 8, "batch_size": 4, "time_size": 10, "iterations": 6},
    Size(2, 16, 0.01),
    (Size(1, 8, 0.01), Size(2, 16, 0.01)),
)
ELEMENTWISE = ("mingru", "minlstm", "fpool", "qrnn", "sru", "rglru")
# by text, cell and block: the best of those tried for 40 s each on tinyshakespeare, with fpool and with the LSTM
SIZES: dict[tuple[str, str, str], Size] = {}
for _cell in CELLS:
    for _name in ("tinyshakespeare", "korean"):
        SIZES[_name, _cell, "plain"] = Size(2, 256 if _cell in ELEMENTWISE else 128, 0.004)
        SIZES[_name, _cell, "residual"] = Size(3, 192, 0.005, wordvec=128)
        if CELLS[_cell].is_block:
            SIZES[_name, _cell, "plain"] = Size(3, CELLS[_cell].hidden_size(128, 256), 0.003, wordvec=128)
    for _name in ("ptb", "wikitext-2"):
        SIZES[_name, _cell, "residual"] = Size(2, 300, 0.003)


@dataclass
class Row:
    """One training: what was trained, and what it reached."""

    cell: str
    block: str
    size: Size
    parameters: int
    tokens_per_second: float
    of_floor: float  # the time that the products alone take, divided by that of a block
    seconds: float
    cpu_seconds: float
    epochs: float
    validation: float
    test: float | None
    curve: list[tuple[float, float]] = field(default_factory=list)  # seconds, nats per token

    @property
    def name(self) -> str:
        return self.cell if self.block == "plain" else f"{self.cell}, {self.block}"


@dataclass(frozen=True)
class Task:
    """What a process is to train; ``seconds`` = 0 leaves the end to the options."""

    text: Text
    folder: Path  # of the texts
    cell: str
    block: str
    size: Size
    seconds: float
    seed: int
    with_test: bool = True

    @property
    def config(self) -> Config:
        size = {name: value for name, value in asdict(self.size).items() if value is not None}
        options = {**SHARED, **self.text.options, **size, "cell": self.cell, "seed": self.seed}
        options["hidden"] = CELLS[self.cell].hidden_size(options["wordvec"], options["hidden"])
        if self.block != "plain":
            options["block"] = self.block
        config = Config.of({**options, "time_budget": self.seconds}, "benchmarks/cells.py")
        return msgspec.structs.replace(config, **(encoded_options(self.folder / "encoded") or {}))

    def begin(self, config: Config) -> TrainingRun:
        run = self.folder / "run"
        return TrainingRun.create(run, self.folder / "encoded", config, valid="none", overwrite=True)


def prepared(name: str, text: Text, data: str, folder: Path) -> Path:
    """Write the three texts and the encoded training text to a folder, once; return it."""
    folder = folder / "texts" / name
    encoded = folder / "encoded"
    if encoded_options(encoded) is not None:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{split}.txt" for split in ("train", "valid", "test")]
    if len(text.files) == 3:
        for source, path in zip(text.files, paths, strict=True):
            shutil.copyfile(Path(data, source), path)
    else:
        content = builtin_content(BUILT_IN) if not text.files else Path(data, text.files[0]).read_bytes()
        whole = content.decode()
        cuts = [0, len(whole) * 8 // 10, len(whole) * 9 // 10, len(whole)]
        for path, first, last in zip(paths, cuts, cuts[1:], strict=False):
            path.write_text(whole[first:last], encoding="utf-8", newline="\n")
    of_text = {key: text.options[key] for key in ("level", "vocab_size") if key in text.options}
    elman.encode(paths[0], encoded, options=of_text, overwrite=True)
    return folder


def trained(task: Task) -> Row:
    """Train one model, and measure it."""
    config = task.config
    task.begin(msgspec.structs.replace(config, iterations=3, time_budget=0.0)).train()  # loads compiled code
    run = task.begin(config)
    model, progress, text_model = run.text_model.model, run.trainer.progress, run.text_model
    valid = (task.folder / "valid.txt").read_text(encoding="utf-8")
    ids = text_model.encode(valid)[1][:CURVE_TOKENS]
    curve: list[tuple[float, float]] = []
    blocks: list[float] = []  # the seconds at the end of each
    best, weights, cpu_seconds = math.inf, {}, 0.0

    def stop_at_points(event: Event) -> None:
        if isinstance(event, BlockDone):
            blocks.append(event.seconds)
            spent, all_of_it = (
                (event.seconds, config.time_budget)
                if config.time_budget
                else (event.iteration, config.iterations)
            )
            if spent * POINTS >= all_of_it * (len(curve) + 1):
                run.stop()

    while not run.finished:
        began = time.process_time()
        run.train(stop_at_points)
        cpu_seconds += time.process_time() - began
        found = elman.evaluate(model, ids, eos=text_model.start_id, batch_size=SEQUENCES)
        curve.append((progress.seconds, found.nll_nats / found.tokens))
        if curve[-1][1] < best:
            best, weights = curve[-1][1], {name: np.copy(weight) for name, weight in model.weights.items()}
    for name, weight in weights.items():
        model.weights[name][...] = weight
    tokens = config.batch_size * config.time_size
    seconds = statistics.median(np.diff(blocks))
    return Row(
        cell=task.cell,
        block=task.block,
        size=task.size,
        parameters=parameters_of(model),
        tokens_per_second=tokens / seconds,
        of_floor=sum(fastest(*shape) for shape in products(model, config)) / seconds,
        seconds=progress.seconds,
        cpu_seconds=cpu_seconds,
        epochs=progress.iteration * tokens / len(run.corpora.train.ids),
        validation=task.text.loss(text_model.evaluate(task.folder / "valid.txt", batch_size=SEQUENCES)),
        test=task.text.loss(text_model.evaluate(task.folder / "test.txt")) if task.with_test else None,
        curve=curve,
    )


def parameters_of(model: Any) -> int:
    return sum(math.prod(weight.shape) for weight in model.params)


def products(model: Any, config: Config) -> list[tuple[int, int, int, int]]:
    """Return (times, m, k, n) of every product (m, k)·(k, n) of a block: forward, and the two of its gradients.

    An input is multiplied for the whole block at once, the state before step by step. A sampled softmax has a score for
    each candidate and, at most, for each target.
    """
    rows, (H, V) = config.batch_size * config.time_size, (config.hidden, model.vocab_size)
    scores = V if config.softmax == "full" else min(V, config.candidates + rows)
    found = [(1, rows, H, scores), (1, rows, scores, H), (1, H, rows, scores)]
    for name, weight in model.weights.items():
        if name[0].isdigit() and weight.ndim == 2:
            k, n = weight.shape
            steps = config.time_size if IN_THE_LOOP.fullmatch(name) else 1
            found += [(steps, rows // steps, k, n), (steps, rows // steps, n, k), (1, k, rows, n)]
    return found


def fastest(*shape: int) -> float:
    """Return the seconds of a product in its fastest layout."""
    product, found = Product(*shape), []
    for _ in range(5):
        began = time.perf_counter()
        product()
        found.append(time.perf_counter() - began)
    return min(found)


def in_own_process(task: Task) -> Row:
    """Train in a process that does nothing else, and return its result."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(trained, task).result()


def tuned(task: Task, train: Callable[[Task], Row]) -> Size:
    """Return the best size on the validation text, and its best learning rate: half, as given, or twice."""
    found: dict[Size, float] = {}

    def try_all(sizes: Sequence[Size]) -> Size:
        for size in sizes:
            try:
                found[size] = train(replace(task, size=size, with_test=False)).validation
            except TrainingDiverged:
                found[size] = math.inf
            print(f"# {task.cell}, {task.block}, {size}: {found[size]:.4f} {task.text.unit}", flush=True)
        return min(found, key=found.__getitem__)

    best = try_all(task.text.candidates)
    return try_all([replace(best, lr=factor * best.lr) for factor in (0.5, 2.0)])


def as_large(task: Task, parameters: int) -> Size:
    """Return the size of this cell, with its layers, whose number of parameters is nearest."""
    run = task.begin(task.config)
    ids, V = run.corpora.train.ids, len(run.corpora.train.vocabulary)

    def count(hidden: int) -> int:
        config = replace(task, size=replace(task.size, hidden=hidden)).config
        return parameters_of(new_model(config, ids, V, Backend()))

    low, high = 0, len(WIDTHS) - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(WIDTHS[middle]) < parameters else (low, middle)
    hidden = min(WIDTHS[low], WIDTHS[high], key=lambda width: abs(count(width) - parameters))
    return replace(task.size, hidden=hidden)


def table(text: Text, rows: Sequence[Row], minutes: float) -> str:
    """Return the rows as Markdown, the best on the validation text first."""
    head = ["cell", "layers × width", "learning rate", "parameters", "tokens/s", "of the floor", "epochs"]
    lines = [
        [
            row.name,
            f"{row.size.layers} × {row.size.hidden}",
            f"{row.size.lr:g}",
            f"{row.parameters:,}",
            f"{row.tokens_per_second:,.0f}",
            f"{row.of_floor:.0%}",
            f"{row.epochs:.1f}",
            f"{row.validation:.3f}",
            "–" if row.test is None else f"{row.test:.3f}",
        ]
        for row in sorted(rows, key=lambda row: row.validation)
    ]
    about = f"After {minutes:g} minutes of training, {text.unit}:\n\n" if minutes else ""
    return about + markdown([*head, "validation", "test"], lines)


def draw(text: Text, rows: Sequence[Row], path: Path) -> None:
    """Draw the learning curves: a colour for each cell, a dashed line for another block than the plain one."""
    figure, axes = new_figure("linear")
    cells = list(dict.fromkeys(row.cell for row in rows))
    for row in sorted(rows, key=lambda row: -row.curve[-1][1]):
        k = cells.index(row.cell)
        axes.plot(
            *zip(*row.curve, strict=True),
            color=COLOURS[k % len(COLOURS)],
            marker=MARKERS[k % len(MARKERS)],
            markersize=4,
            linestyle="-" if row.block == "plain" else "--",
            label=row.name,
        )
    axes.set_xlabel("seconds of training")
    axes.set_ylabel(f"validation loss in nats per {token_of(text)}")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    finish(figure, axes)
    save(figure, path)


def token_of(text: Text) -> str:
    return {"char": "character"}.get(text.options["level"], text.options["level"])


def kept_rows(path: Path) -> list[Row]:
    """Return the rows that earlier calls wrote."""
    if not path.is_file():
        return []
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return [Row(**{**row, "size": Size(**row["size"])}) for row in rows]


def size_of(name: str, text: Text, cell: str, block: str) -> Size:
    return SIZES.get((name, cell, block), text.size)


def measure(name: str, text: Text, given: argparse.Namespace, train: Callable[[Task], Row]) -> None:
    """Train all cells on one text, and write what they reach."""
    seconds = 0.0 if given.quick else 60 * given.minutes
    folder = prepared(name, text, os.environ.get("ELMAN_DATA", ""), given.output)
    tasks = [
        Task(text, folder, cell, block, size_of(name, text, cell, block), seconds, given.seed)
        for cell in given.cells
        for block in given.block
    ]
    if given.tune:
        for task in tasks:
            print(f"    {(name, task.cell, task.block)}: {tuned(task, train)},", flush=True)
        return
    length = "quick" if given.quick else f"{given.minutes:g}min"
    equal = "-equal-parameters" if given.equal == "parameters" else ""
    path = given.output / f"{name}-{length}{equal}.json"
    rows = kept_rows(path)
    if given.equal == "parameters":
        reference = replace(tasks[0], cell="lstm", block="plain", size=size_of(name, text, "lstm", "plain"))
        parameters = parameters_of(reference.begin(reference.config).text_model.model)
        tasks = [replace(task, size=as_large(task, parameters)) for task in tasks]
    for task in tasks:
        try:
            row = train(task)
        except TrainingDiverged as error:
            print(f"({task.cell}, {task.block}: {error})\n", flush=True)
            continue
        rows = [kept for kept in rows if (kept.cell, kept.block) != (row.cell, row.block)] + [row]
        about = {
            "corpus": name,
            "unit": text.unit,
            "seconds": seconds,
            "threads": given.threads,
            "seed": given.seed,
            "equal": given.equal,
            "options": {**SHARED, **text.options},
            "versions": versions(),
        }
        path.write_text(
            json.dumps({**about, "rows": [asdict(each) for each in rows]}, indent=1), encoding="utf-8"
        )
        draw(text, rows, path.with_suffix(".png"))
        if given.threads == 1 and row.cpu_seconds < BUSY * row.seconds:
            print(f"(disturbed: {row.name} got {row.cpu_seconds / row.seconds:.0%} of a core)\n", flush=True)
    print(f"## {name}\n\n{table(text, rows, seconds / 60)}\n{path.with_suffix('.png')}\n", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--corpus", nargs="+", choices=TEXTS, default=list(TEXTS), help="all of them unless given"
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, for each row")
    parser.add_argument(
        "--cells", nargs="+", choices=CELLS, default=list(CELLS), help="all of them unless given"
    )
    parser.add_argument(
        "--block", nargs="+", default=["plain"], help="what stands around a cell: plain, residual"
    )
    parser.add_argument(
        "--equal", choices=("minutes", "parameters"), default="minutes", help="besides the time"
    )
    parser.add_argument(
        "--tune", action="store_true", help="choose sizes on the validation text, and print them"
    )
    parser.add_argument("--threads", type=int, default=1, help="of a training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("cells"), help="where results and texts are"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny models of a built-in text, in this process"
    )
    given = parser.parse_args(arguments)
    try:
        if given.quick:
            measure(BUILT_IN, QUICK, given, trained)
        else:
            measure_all(given)
    except ElmanError as error:
        raise SystemExit(f"cells.py: {error}") from error


def measure_all(given: argparse.Namespace) -> None:
    """Measure on every corpus that is there, each model in a process of its own."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = str(given.threads)  # which the processes inherit
    for name in given.corpus:
        text = TEXTS[name]
        if missing := [
            file for file in text.files if not Path(os.environ.get("ELMAN_DATA", ""), file).is_file()
        ]:
            print(f"(skipped {name}: $ELMAN_DATA/{missing[0]} is not there)\n")
        else:
            measure(name, text, given, in_own_process)


if __name__ == "__main__":
    main()
