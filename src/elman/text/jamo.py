"""Hangul syllables and the letters (jamo) that they are made of: initial, medial and, in most, final.

The letters are the conjoining jamo of Unicode, U+1100 to U+1112, U+1161 to U+1175 and U+11A8 to U+11C2. A text in NFC
never has them in an order that makes a syllable, because NFC would have composed it. So a text whose syllables are
spelled in letters can be read in one way only, and composing the letters again restores it, whatever it held.

Source: The Unicode Standard, section 3.12, "Conjoining Jamo Behavior".
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from elman.text.vocabulary import code_points

FIRST_SYLLABLE, FIRST_INITIAL, FIRST_MEDIAL, FIRST_FINAL = 0xAC00, 0x1100, 0x1161, 0x11A8
INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
MEDIALS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
FINALS = "ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
WITH_FINALS = 1 + len(FINALS)  # syllables of an initial and a medial, one without a final among them
SYLLABLES = len(INITIALS) * len(MEDIALS) * WITH_FINALS
NONE = 0xFFFFFFFF  # is no code point
READABLE = {  # a letter that stands alone is drawn only in its compatibility form; a hyphen tells finals from initials
    **{chr(FIRST_INITIAL + k): letter for k, letter in enumerate(INITIALS)},
    **{chr(FIRST_MEDIAL + k): letter for k, letter in enumerate(MEDIALS)},
    **{chr(FIRST_FINAL + k): f"-{letter}" for k, letter in enumerate(FINALS)},
}


def spelled(text: str) -> str:
    """Return a text with each Hangul syllable spelled in its letters; all other characters stay as they are."""
    if text.isascii():
        return text
    codes = code_points(text)
    place = _places(codes)
    letters = _letters().take(place, axis=0)  # (n, 3)
    np.copyto(letters[:, 0], codes, where=place == SYLLABLES)
    raw: bytes = letters[letters != NONE].tobytes()
    return raw.decode("utf-32-le", "surrogatepass")


def letter_counts(text: str) -> NDArray[np.intp]:
    """Return into how many characters `spelled` turns each character of a text: 1, 2 or 3."""
    counts: NDArray[np.intp] = (_letters() != NONE).sum(axis=1)
    counts[SYLLABLES] = 1
    return counts[_places(code_points(text))]


def composed(before: str, letter: str) -> str:
    """Return the syllable of an initial and a medial, or of a syllable and a final; "" if they make none."""
    medial, final = ord(letter) - FIRST_MEDIAL, ord(letter) - FIRST_FINAL
    initial, syllable = ord(before) - FIRST_INITIAL, ord(before) - FIRST_SYLLABLE
    if 0 <= initial < len(INITIALS) and 0 <= medial < len(MEDIALS):
        return chr(FIRST_SYLLABLE + (initial * len(MEDIALS) + medial) * WITH_FINALS)
    if 0 <= syllable < SYLLABLES and syllable % WITH_FINALS == 0 and 0 <= final < len(FINALS):
        return chr(ord(before) + 1 + final)
    return ""


def is_initial(token: str) -> bool:
    """Return whether a token is a letter that begins a syllable."""
    return len(token) == 1 and 0 <= ord(token) - FIRST_INITIAL < len(INITIALS)


def _places(codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the number of each syllable among all; SYLLABLES for other characters, also where it wraps around."""
    places: NDArray[np.uint32] = np.minimum(codes - np.uint32(FIRST_SYLLABLE), np.uint32(SYLLABLES))
    return places


@cache
def _letters() -> NDArray[np.uint32]:
    """Return the letters of every syllable, as code points, NONE where it has no final; the last row has none."""
    number = np.arange(SYLLABLES)
    final = number % WITH_FINALS
    letters = np.full((SYLLABLES + 1, 3), NONE, np.uint32)
    letters[:-1, 0] = FIRST_INITIAL + number // (len(MEDIALS) * WITH_FINALS)
    letters[:-1, 1] = FIRST_MEDIAL + number // WITH_FINALS % len(MEDIALS)
    letters[:-1, 2] = np.where(final > 0, FIRST_FINAL - 1 + final, NONE)
    return letters
