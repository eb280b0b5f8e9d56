"""Output of commands: files that are written whole or not at all, and run folders that hold one model."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from elman.errors import RunError
from elman.files import atomic_write
from elman.formats.model_file import MODEL_NAME, save_model
from elman.models.tokenized import TokenizedModel


def check_output_file(path: Path | None) -> None:
    """Raise RunError now for a file that could not be written at the end; None is standard output."""
    if path is None:
        return
    if not path.absolute().parent.is_dir():
        raise RunError(f"there is no folder {path.parent} to write {path.name} in")
    if path.is_dir():
        raise RunError(f"{path} is a folder; name a file")


@contextlib.contextmanager
def open_output(path: Path) -> Iterator[IO[Any]]:
    """Yield a UTF-8 text file that takes its name when the block succeeds. Raises RunError where it cannot."""
    try:
        with atomic_write(path, "w", encoding="utf-8", newline="\n") as file:
            yield file
    except BrokenPipeError:  # such as /dev/stdout whose reader has gone: the end, and no mistake
        raise
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def check_run_folder(folder: Path, overwrite: bool) -> None:
    """Raise RunError where ``folder`` holds a run that must not be replaced."""
    if not overwrite and _run_files(folder):
        raise RunError(f"{folder} already holds a run; replace it with --overwrite, or choose another folder")


def save_run(folder: Path, text_model: TokenizedModel) -> None:
    """Save a model as the only content of a run folder; the files of an earlier run there are removed."""
    earlier = _run_files(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    save_model(folder / MODEL_NAME, text_model)
    for path in earlier:
        if path.name != MODEL_NAME:
            path.unlink()


def _run_files(folder: Path) -> list[Path]:
    from elman.training.run_folder import FILES  # brings all of training, which most commands do not need

    return [folder / name for name in FILES if (folder / name).exists()]
