"""What tests of the command line share."""

from pathlib import Path

SMALL = ("--hidden=6", "--wordvec=5", "--batch-size=2", "--time-size=4", "--epochs=2")  # over in a moment


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
