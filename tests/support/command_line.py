"""Options of a small training and the contents of a folder, for tests of the command line."""

from pathlib import Path

SMALL = ("--hidden=6", "--wordvec=5", "--batch-size=2", "--time-size=4", "--epochs=2")  # takes a moment


def contents(folder: Path) -> dict[str, bytes]:
    """The contents of a folder's files, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
