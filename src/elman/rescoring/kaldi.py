"""Kaldi's n-best lists: a folder with `words_text`, `ac_cost` and `lm_cost`, a line `UTTERANCE-RANK value` each.

Costs are negated natural logarithms.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from elman.errors import RunError, TextError
from elman.files import atomic_write
from elman.rescoring.nbest import Row, Utterance, collect, to_rank, to_score
from elman.text.reading import read_text

WORDS, ACOUSTIC, LM = "words_text", "ac_cost", "lm_cost"
V = TypeVar("V")


def read_kaldi(folder: Path, encoding: str = "utf-8") -> list[Utterance]:
    """Return the utterances of a folder, in the order of `words_text`; `lm_cost` may be missing.

    Raises:
        TextError: a file is missing or malformed, a cost is no finite number, or the keys of the files differ.
    """
    words = _read(folder / WORDS, encoding, lambda value, where: value)
    acoustic = _read(folder / ACOUSTIC, encoding, to_score)
    lm = _read(folder / LM, encoding, to_score) if (folder / LM).is_file() else None
    for costs, name in ((acoustic, ACOUSTIC), (lm, LM)):
        if costs is not None and (differ := sorted(words.keys() ^ costs.keys())):
            key = differ[0]
            which = name if key in words else WORDS
            raise TextError(f"{folder / which} lacks {key}, which the other files of the folder have")
    rows = [
        Row(
            f"{folder / WORDS}: {key}",
            key.rpartition("-")[0],
            int(key.rpartition("-")[2]),
            -acoustic[key],
            text,
        )
        for key, text in words.items()
    ]
    utterances = collect(rows, str(folder / WORDS))
    if lm is None:
        return utterances
    return [
        Utterance(u.name, tuple(replace(c, lm=-lm[f"{u.name}-{c.rank}"]) for c in u.candidates))
        for u in utterances
    ]


def _read(path: Path, encoding: str, to_value: Callable[[str, str], V]) -> dict[str, V]:
    """Return the values of a file by their keys."""
    values: dict[str, V] = {}
    for number, line in enumerate("".join(read_text(path, encoding)).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        key, *rest = line.split(maxsplit=1)
        utterance, _, rank = key.rpartition("-")
        if not utterance:
            raise TextError(f"{where}: a line begins with UTTERANCE-RANK, got {key!r}")
        key = f"{utterance}-{to_rank(rank, where)}"
        if key in values:
            raise TextError(f"{where}: {key} is there already")
        values[key] = to_value(rest[0].strip() if rest else "", where)
    return values


def write_kaldi(folder: Path, utterances: Sequence[Utterance]) -> None:
    """Write utterances to a new folder, which comes to be whole or not at all.

    `lm_cost` is written where every candidate's is known. Raises RunError where the folder exists or cannot be
    made.
    """
    if folder.exists():
        raise RunError(f"{folder} exists already; name a new folder for Kaldi's files")
    candidates = [(f"{u.name}-{c.rank}", c) for u in utterances for c in u.candidates]
    files = {
        WORDS: [f"{key} {c.text}".rstrip() for key, c in candidates],
        ACOUSTIC: [f"{key} {0.0 - c.score!r}" for key, c in candidates],
    }
    known = [(key, c.lm) for key, c in candidates if c.lm is not None]
    if len(known) == len(candidates):
        files[LM] = [f"{key} {_cost(lm)}" for key, lm in known]
    try:
        temporary = Path(tempfile.mkdtemp(dir=folder.absolute().parent, prefix=f".{folder.name}."))
        try:
            for name, lines in files.items():
                with atomic_write(temporary / name, "w", encoding="utf-8") as file:
                    file.writelines(f"{line}\n" for line in lines)
            temporary.chmod(0o777 & ~_umask())
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise RunError(f"cannot make the folder {folder}: {error.strerror or error}") from error


def _cost(ln_prob: float) -> str:
    """Return -ln P; a large finite number where P is 0, which Kaldi's programs could not read."""
    return repr(0.0 - ln_prob) if math.isfinite(ln_prob) else "1e+10"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
