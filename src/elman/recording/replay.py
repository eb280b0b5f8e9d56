"""Save a run as one HTML file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from elman.errors import ConfigError, RunError
from elman.files import atomic_write
from elman.recording.document import make_page
from elman.recording.recording import record

MAX_BYTES = 12_000_000  # larger pages open slowly on a phone
PathLike: TypeAlias = str | os.PathLike[str]


def replay(
    run: PathLike,
    output: PathLike | None = None,
    *,
    text: str | Sequence[str] = (),
    compare: PathLike | Sequence[PathLike] = (),
    tokens: int = 80,
    seed: int = 0,
) -> Path:
    """Save a run as one HTML page that opens without a server and without a network; return its path.

    The page has the training curve, the samples, and everything that the page of `elman.serve` shows about a few texts.

    Args:
        run: a run folder or a model file.
        output: the HTML file to write; by default replay.html in the run.
        text: one or more texts to record; by default texts that the model writes.
        compare: other runs to show next to it.
        tokens: limit for the tokens of a text, from 2 to 1,000.
        seed: of the texts that the model writes.

    Raises:
        ConfigError: the page would be too large, a text has no token, or two runs have the same name.
        RunError: the page cannot be written, or a run's metrics are damaged.
        ModelFileError: a run has no model.
    """
    if not 2 <= tokens <= 1000 or seed < 0:
        raise ConfigError(f"`tokens` must be from 2 to 1000, and `seed` ≥ 0; got {tokens} and {seed}")
    run = Path(run)
    texts = (text,) if isinstance(text, str) else text
    others = (compare,) if isinstance(compare, (str, os.PathLike)) else compare
    default = run / "replay.html" if run.is_dir() else run.with_suffix(".html")
    path = default if output is None else Path(output)
    if not path.absolute().parent.is_dir():
        raise RunError(
            f"cannot write {path.name}: there is no folder {path.absolute().parent}; make it first"
        )
    page = make_page(record((run, *map(Path, others)), texts, tokens, seed)).encode("utf-8", "replace")
    if len(page) > MAX_BYTES:
        raise ConfigError(
            f"the page would have {len(page) / 1e6:.1f} MB, the limit is {MAX_BYTES / 1e6:.0f} MB; record fewer texts, "
            "or fewer `tokens` of each"
        )
    try:
        with atomic_write(path) as file:
            file.write(page)
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror or error}; choose another place with `output`"
        ) from error
    return path
