"""KenLM's binary files: recognised, so that they are refused with the remedy."""

from pathlib import Path

from elman.errors import ModelFileError

MAGIC = b"mmap lm http://kheafield.com/code"  # "... format version 5" follows


def refuse_kenlm_binary(path: Path) -> None:
    """Raise ModelFileError if a file is a binary file of KenLM."""
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError:
        return
    if head == MAGIC:
        raise ModelFileError(
            f"{path} is a binary file of KenLM, which depends on KenLM's version and machine and cannot be read; "
            "give the ARPA file that it was built from (with build_binary FILE.arpa)"
        )
