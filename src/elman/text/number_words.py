"""Integers and decimal numbers in words, spelled by num2words, and the patterns that find them in a text."""

import importlib
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from elman.errors import MissingExtra

UNKNOWN = "\ue000"  # stands for <unk> while punctuation is removed
MOST_DIGITS = 15  # a longer number becomes <unk>

_GROUPED = r"\d{1,3}(?:,\d{3}){1,6}(?!,?\d)|\d{1,2}(?:,\d{2}){1,6},\d{3}(?!,?\d)"  # 1,000,000 or, in India, 10,00,000
WHOLE = rf"(?:{_GROUPED}|\d+)"
REAL = rf"(?:{WHOLE}(?:\.\d+)?|(?<![\w.])\.\d+)"
NO_DIGIT_BEFORE = r"(?<![\d.,/-])"

# characters of which a text must have one, or none: a quick way to see that a rule does not apply; pattern; words
Rule = tuple[str, re.Pattern[str], Callable[[re.Match[str]], str]]


def cardinal(number: str) -> str:
    """Return an integer or decimal number in words: 1,000.5 → one thousand point five."""
    whole, _, fraction = number.replace(",", "").partition(".")
    if len(whole) > MOST_DIGITS:
        return UNKNOWN
    if len(whole) > 1 and whole.startswith("0"):
        said = one_by_one(whole)
    else:
        said = in_words(whole, "cardinal") if whole else ""
    return f"{said} point {one_by_one(fraction)}".strip() if fraction else said


def one_by_one(digits: str) -> str:
    """Return each digit of a text in words."""
    return " ".join(in_words(digit, "cardinal") for digit in digits if digit.isdigit())


def year(digits: str) -> str:
    """Return an integer in words, one that may be a year as a year."""
    return in_words(digits, "year") if is_year(digits) else cardinal(digits)


def is_year(digits: str) -> bool:
    """Return whether a number is read as a year: from 1100 to 2099."""
    return len(digits) == 4 and digits.isdigit() and 1100 <= int(digits) < 2100


@lru_cache(10_000)
def in_words(digits: str, kind: str) -> str:
    """Return an integer in words, as num2words spells it: ``kind`` is "cardinal", "ordinal" or "year".

    Raises MissingExtra if num2words is not installed.
    """
    try:
        num2words: Any = importlib.import_module("num2words").num2words
    except ImportError as error:
        raise MissingExtra("num2words", "speech") from error
    return str(num2words(int(digits), to=kind))
