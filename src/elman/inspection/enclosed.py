"""Which characters of a text stand within quotation marks, or within brackets."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

QUOTES = {
    '"': '"', "＂": "＂", "“": "”", "‘": "’", "„": "“”", "‚": "‘’", "«": "»", "‹": "›", "「": "」", "『": "』",
    "｢": "｣",
}  # fmt: skip
BRACKETS = {
    "(": ")",
    "[": "]",
    "{": "}",
    "（": "）",
    "［": "］",
    "｛": "｝",
    "〈": "〉",
    "《": "》",
    "【": "】",
    "〔": "〕",
}


def enclosed(text: str, pairs: Mapping[str, str]) -> NDArray[np.float64]:
    """Return 1 where, after a character was read, a pair is open, else 0: (len(text),).

    ``pairs`` tells for each opening character which ones close it; so the one that opens counts, the one that
    closes does not. One that closes nothing is none, and an apostrophe between two letters is none; an empty line
    closes all, since speech over several paragraphs is opened again in each.
    """
    found = np.zeros(len(text))
    open_: list[str] = []  # what closes each of the pairs that are open
    for i, character in enumerate(text):
        if character == "\n" and text[i - 1 : i] == "\n":
            open_.clear()
        place = next((k for k in reversed(range(len(open_))) if character in open_[k]), None)
        if place is not None and not _is_apostrophe(text, i):
            del open_[place:]
        elif character in pairs and not _is_apostrophe(text, i):
            open_.append(pairs[character])
        found[i] = bool(open_)
    return found


def _is_apostrophe(text: str, i: int) -> bool:
    return text[i] in "’‘" and text[max(i - 1, 0) : i].isalpha() and text[i + 1 : i + 2].isalpha()
