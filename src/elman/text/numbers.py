"""Spell written numbers out: `in 1905, 1.5km for $2` → in nineteen oh five, one point five kilometers for two dollars.

A small grammar, applied in the order of `_RULES`: what is most specific comes first (dates, telephone numbers, money,
times, fractions, quantities with a unit), then any digits that are left, so that no digit is ever dropped.
`elman.text.number_words` spells the integers.
"""

import re
import unicodedata
from collections.abc import Sequence

from elman.text.amounts import FRACTIONS, MONEY, QUANTITIES
from elman.text.number_words import (
    MOST_DIGITS,
    NO_DIGIT_BEFORE,
    REAL,
    UNKNOWN,
    WHOLE,
    Rule,
    cardinal,
    in_words,
    is_year,
    one_by_one,
    year,
)

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_FULL_WIDTH = "％＄￥￦￡：．，／－＋＃℃℉㎞㎏㎝㎜㎡"
_FIXED_SPACES = "\u00a0\u2009\u202f"
_HYPHENS = str.maketrans("\u2010\u2011\u2012\u2044", "---/")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_MINUS = rf"(?<![\w)\]}}.,'%{UNKNOWN}-])(?<!\d )(?:-|− ?)(?=(?:[$£€¥₩₹] ?)?\.?\d)"


def numbers_in_words(text: str) -> str:
    """Return a text with its numbers in words, in lower case; a number of more than 15 digits becomes `UNKNOWN`.

    Raises MissingExtra for a text with numbers if num2words is not installed.
    """
    if not text.isascii():
        text = _plain_digits(text)
    if any(map(str.isdigit, text)):
        for needs, pattern, words in _RULES:
            if not needs or any(sign in text for sign in needs):
                text = pattern.sub(words, text)
    return text


def _plain_digits(text: str) -> str:
    """Return a text with ASCII digits for those of other scripts, of circles, fractions, powers and indices.

    Fixed and narrow spaces, which group digits (1 000) and join units to them, and other hyphens become plain ones.
    """
    text = re.sub(rf"(?<=\d)[{_FIXED_SPACES}](?=\d{{3}}(?!\d))", ",", text)
    text = re.sub(f"[{_FIXED_SPACES}]", " ", text).translate(_HYPHENS)
    text = re.sub(r"(?<=\d)([²³])(?!\w)", _power, text)
    text = re.sub(r"(?<=\d)[⁻⁰¹²³⁴-⁹]+", lambda found: f" to the {found[0].translate(_SUPERSCRIPTS)}", text)
    return "".join(map(_plain, text)) if not text.isascii() else text


def _power(found: re.Match[str]) -> str:
    return f" {'squared' if found[1] == '²' else 'cubed'} "


def _plain(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Nd":
        return str(unicodedata.decimal(character))
    if kind == "No":
        written = unicodedata.normalize("NFKC", character).replace("⁄", "/")
        return character if character in "²³" else f" {written} "
    return character if character not in _FULL_WIDTH else unicodedata.normalize("NFKC", character)


def _iso_date(found: re.Match[str]) -> str:
    number, month, day = found.groups()
    return f" {_MONTHS[int(month) - 1]} {in_words(day, 'ordinal')} {year(number)} "


def _dotted(found: re.Match[str]) -> str:
    """Return a date, a telephone number, thousands with dots, or a version: each has two dots or more."""
    groups = found[0].split(".")
    sizes = [len(group) for group in groups]
    if len(groups) == 3 and max(sizes[:2]) <= 2 and sizes[2] == 4 and max(map(int, groups[:2])) <= 31:
        return f" {_date_parts(groups)} "
    if sizes == [3, 3, 4]:
        return f" {one_by_one(found[0])} "
    if sizes[0] <= 3 and set(sizes[1:]) == {3} and groups[0].strip("0"):
        return f" {cardinal(''.join(groups))} "
    return f" {' point '.join(map(cardinal, groups))} "


def _hyphenated(found: re.Match[str]) -> str:
    """Return three or more groups of digits: 4-4-2 as numbers, a telephone number or an ISBN digit by digit."""
    groups = re.split(r"\D+", found[0].strip("( "))
    return f" {' '.join(map(cardinal, groups)) if max(map(len, groups)) <= 2 else one_by_one(found[0])} "


def _telephone_or_range(found: re.Match[str]) -> str:
    """Return 555-1234 digit by digit, unless both are years or round: 1914-1918, 500-1000."""
    first, second = found[1], found[2]
    rounded = first.endswith("0") and second.endswith("0")
    return found[0] if rounded or (is_year(first) and is_year(second)) else f" {one_by_one(first + second)} "


def _range(found: re.Match[str]) -> str:
    """Return 5-10 as `5 to 10`; years such as 1988-89, and numbers that fall such as goals, only side by side."""
    first, second = found[1], found[2]
    if is_year(first) and re.fullmatch(r"\d\d", second):
        return f"{first} {_of_clock(second)}"
    rises = float(second.replace(",", "")) > float(first.replace(",", ""))
    return f"{first}{' to ' if rises else ' '}{second}"


def _time(found: re.Match[str]) -> str:
    hour, minute, second, half = found.groups()
    parts = [in_words(hour, "cardinal")]
    parts += [_of_clock(part) for part in (minute, second) if part and (second or int(part))]
    if minute and not second and not int(minute) and not half:
        parts.append("o'clock" if int(hour) <= 12 else "hundred")
    return f" {' '.join(parts)}{f' {half} m' if half else ''} "


def _hour(found: re.Match[str]) -> str:
    return f" {in_words(found[1], 'cardinal')} {found[2]} m "


def _of_clock(minutes: str) -> str:
    if not int(minutes):
        return "zero zero"
    return f"oh {in_words(minutes, 'cardinal')}" if minutes.startswith("0") else in_words(minutes, "cardinal")


def _slashed(found: re.Match[str]) -> str:
    return f" {_date_parts(found.groups())} "


def _date_parts(groups: Sequence[str]) -> str:
    return " ".join(year(group.lstrip("0") or "0") for group in groups)


def _ordinal(found: re.Match[str]) -> str:
    digits = found[1].replace(",", "")
    return f" {in_words(digits, 'ordinal') if len(digits) <= MOST_DIGITS else UNKNOWN} "


def _plural(found: re.Match[str]) -> str:
    said = year((found[1] or found[2]).replace(",", ""))
    return f" {said[:-1]}ies " if said.endswith("y") else f" {said}{'es' if said.endswith('x') else 's'} "


def _number(found: re.Match[str]) -> str:
    return f" {year(found[0]) if found[0].isdigit() else cardinal(found[0])} "


_RULES: tuple[Rule, ...] = (
    (
        "",
        re.compile(rf"(?<![\d.])\d{{{MOST_DIGITS + 1},}}(?:st|nd|rd|th|s)?|\d{{64,}}"),
        lambda found: UNKNOWN,
    ),
    ("^", re.compile(r"(?<=\d)\^(?=-?\d)"), lambda found: " to the "),
    ("=", re.compile(r"(?<=\d) ?= ?(?=-?\d)"), lambda found: " equals "),
    ("$£€¥₩₹", re.compile(r"([$£€¥₩₹])[-−](?=\d)"), lambda found: f"-{found[1]}"),
    (
        ",",
        re.compile(r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d\d?)(?![\d,.])"),  # 1.000,50 is 1,000.50
        lambda found: f"{found[1].replace('.', ',')}.{found[2]}",
    ),
    ("€", re.compile(r"(?<![\d.,])(\d+),(\d\d)(?= ?€)"), lambda found: f"{found[1]}.{found[2]}"),
    ("-−", re.compile(_MINUS), lambda found: " minus "),
    ("#", re.compile(r"#(?=\d)"), lambda found: "number "),
    ("I", re.compile(r"(?<=ISBN )\d{9,13}(?!\d)"), lambda found: f" {one_by_one(found[0])} "),
    (
        "-",
        re.compile(rf"{NO_DIGIT_BEFORE}(\d{{4}})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(?![\d-])"),
        _iso_date,
    ),
    (".", re.compile(rf"{NO_DIGIT_BEFORE}\d+(?:\.\d+){{2,}}"), _dotted),
    (
        "-",
        re.compile(r"(?<![\d.,/])(?:\(\d{2,4}\) ?\d{3,4}-\d{4}|\d+(?:-\d+){2,})(?!\d)"),
        _hyphenated,
    ),
    ("-", re.compile(rf"{NO_DIGIT_BEFORE}(\d{{3,4}})-(\d{{4}})(?![\d-])"), _telephone_or_range),
    *MONEY,
    (
        ":",
        re.compile(
            rf"{NO_DIGIT_BEFORE}(?<!:)([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?(?![\d:])"
            r"(?: ?([aApP])\.?[mM]\b\.?)?"
        ),
        _time,
    ),
    ("mM", re.compile(rf"{NO_DIGIT_BEFORE}(1[0-2]|0?[1-9]) ?([aApP])\.?[mM]\b"), _hour),
    ("/", re.compile(rf"{NO_DIGIT_BEFORE}(\d{{1,2}})/(\d{{1,2}})/(\d{{4}}|\d\d)(?![\d/])"), _slashed),
    *FRACTIONS,
    ("x×", re.compile(r"(?<=\d)(?<!\b0) ?[x×] ?(?=\d)"), lambda found: " by "),
    ("-–−", re.compile(rf"{NO_DIGIT_BEFORE}({WHOLE}(?:\.\d+)?)(?: ?[-–] ?|−)({REAL})(?![\d-])"), _range),
    (
        "JFMASOND",
        re.compile(rf"\b({'|'.join(_MONTHS)}) ([12]?\d|3[01])(?![.,:/%-]\d|\w)"),
        lambda found: f"{found[1]} {in_words(found[2], 'ordinal')}",
    ),
    *QUANTITIES,
    ("", re.compile(rf"(?<![\d.])({WHOLE})(?:st|nd|rd|th|ST|ND|RD|TH)(?![^\W\d_])"), _ordinal),
    ("s", re.compile(rf"(?<![\d.])({WHOLE})s(?![^\W\d_])|(?<=the )(\d+0)'s\b"), _plural),
    ("'", re.compile(r"(?<!\w)'0(\d)(?!\w)"), lambda found: f" oh {in_words(found[1], 'cardinal')} "),
    ("'", re.compile(rf"{REAL}(?='s\b)"), lambda found: f" {_number(found).strip()}"),
    ("", re.compile(REAL), _number),
    ("²³", re.compile("[²³]"), lambda found: " squared " if found[0] == "²" else " cubed "),
)
