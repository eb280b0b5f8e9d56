"""The files of a run folder, and run folders that hold one model and nothing else."""

from pathlib import Path

from elman.errors import RunError
from elman.formats.model_file import LAST_NAME, MODEL_NAME, save_model
from elman.models.tokenized import TokenizedModel

CONFIG_NAME, METRICS_NAME = "config.toml", "metrics.jsonl"
FILES = (CONFIG_NAME, LAST_NAME, MODEL_NAME, METRICS_NAME)


def check_run_folder(folder: str | Path, overwrite: bool) -> None:
    """Raise RunError where ``folder`` holds a run that must not be replaced."""
    if not overwrite and _run_files(Path(folder)):
        raise RunError(
            f"{folder} already holds a run; replace it with `overwrite=True`, or choose another folder"
        )


def save_run(folder: str | Path, text_model: TokenizedModel) -> None:
    """Save a model as the only content of a run folder; the files of an earlier run there are removed.

    Raises:
        RunError: the folder cannot be made.
        ModelFileError: the folder cannot be written or the disk is full.
    """
    folder = Path(folder)
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
    return [folder / name for name in FILES if (folder / name).exists()]
