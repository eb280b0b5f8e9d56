"""Amounts in words: sums of money, fractions, quantities with a unit, degrees; see `elman.text.numbers`."""

import re

from elman.text.number_words import NO_DIGIT_BEFORE, REAL, WHOLE, Rule, cardinal, in_words

_CURRENCIES = {  # singular, plural, and the hundredth part
    "$": ("dollar", "dollars", "cent", "cents"), "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"), "¥": ("yen", "yen", "", ""), "₩": ("won", "won", "", ""),
    "₹": ("rupee", "rupees", "paisa", "paise"), "¢": ("cent", "cents", "", ""),
}  # fmt: skip
_SIZES = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion"}
_UNITS = {
    "km": "kilometer", "cm": "centimeter", "mm": "millimeter", "m": "meter",
    "kg": "kilogram", "mg": "milligram", "ml": "milliliter", "kW": "kilowatt", "MW": "megawatt", "kWh": "kilowatt hour",
    "Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz", "kB": "kilobyte", "KB": "kilobyte",
    "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte", "mi": "mile", "ft": "foot", "yd": "yard", "lb": "pound",
    "lbs": "pound", "oz": "ounce", "mph": "mile per hour", "kph": "kilometer per hour", "km/h": "kilometer per hour",
    "km / h": "kilometer per hour", "m/s": "meter per second", "m / s": "meter per second",
    "kn": "knot", "hp": "horsepower", "min": "minute", "ha": "hectare",
}  # fmt: skip
_ATTACHED_UNITS = {"g": "gram", "h": "hour"}  # letters that stand for much else after a space
_PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth", 9: "ninth",
          10: "tenth", 12: "twelfth", 16: "sixteenth", 20: "twentieth", 32: "thirty second", 64: "sixty fourth",
          100: "hundredth"}  # fmt: skip

_MAGNITUDES = r"(?: (?:hundred|thousand|million|billion|trillion))*"
_LONG_UNITS = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))


def _money(found: re.Match[str]) -> str:
    sign, amount, more, size = found["sign"], found["amount"], found["more"], found["size"] or ""
    return f" {_amount(sign, amount, more, found['magnitudes'] + _of_size(size))} "


def _money_after(found: re.Match[str]) -> str:
    return f" {_amount(found['sign'], found['amount'], None, found['magnitudes'])} "


def _of_size(size: str) -> str:
    return f" {_SIZES[size.lower()]}" if size else ""


def _amount(sign: str, amount: str, more: str | None, magnitude: str) -> str:
    """Return an amount of money in words: 2.50 as dollars and cents unless a magnitude follows it."""
    one, many, cent, cents = _CURRENCIES[sign]
    whole, _, fraction = amount.replace(",", "").partition(".")
    if more:
        return f"{cardinal(amount)} to {cardinal(more)}{magnitude} {many}"
    if magnitude or len(fraction) != 2 or not cent:
        return f"{cardinal(amount)}{magnitude} {one if whole == '1' and not fraction and not magnitude else many}"
    parts = []
    if whole.strip("0"):
        parts.append(f"{cardinal(whole)} {one if whole == '1' else many}")
    if int(fraction) or not parts:
        parts.append(f"{in_words(fraction, 'cardinal')} {cent if int(fraction) == 1 else cents}")
    return " and ".join(parts)


def _fraction(found: re.Match[str]) -> str:
    whole, upper, lower = found.groups()
    number, parts = int(upper), int(lower)
    if not 0 < number < parts or parts not in _PARTS:
        return found[0]
    name = _PARTS[parts]
    names = f"{name}s" if name != "half" else "halves"
    if whole is None:
        return f" {cardinal(upper)} {name if number == 1 else names} "
    said = f"{'an' if parts == 8 else 'a'} {name}" if number == 1 else f"{cardinal(upper)} {names}"
    return f" {cardinal(whole)} and {said} "


def _quantity(found: re.Match[str]) -> str:
    amount, unit, power = found["amount"], found["unit"], found["power"] or ""
    name = (_UNITS | _ATTACHED_UNITS)[unit]
    if amount != "1" and not found["hyphen"]:
        first, _, rest = name.partition(" per ")
        first = "feet" if first == "foot" else first if first.endswith(("hertz", "power")) else f"{first}s"
        name = f"{first} per {rest}" if rest else first
    prefix = {"²": "square ", "2": "square ", "³": "cubic ", "3": "cubic "}.get(power, "")
    return f" {cardinal(amount)} {prefix}{name} "


def _degrees(found: re.Match[str]) -> str:
    scale = {"C": " celsius", "F": " fahrenheit", None: ""}[found[2]]
    return f" {cardinal(found[1])} {'degree' if found[1] == '1' else 'degrees'}{scale} "


MONEY: tuple[Rule, ...] = (
    (
        "$£€¥₩₹",
        re.compile(
            rf"(?P<sign>[$£€¥₩₹]) ?(?P<amount>{WHOLE}(?:\.\d+)?|\.\d+)(?:[-–][$£€¥₩₹]?(?P<more>{REAL}))?"
            rf"(?:(?P<size>[kKmMbB]|mn|bn)(?!\w))?(?P<magnitudes>{_MAGNITUDES})"
        ),
        _money,
    ),
    (
        "$£€¥₩₹¢",
        re.compile(rf"(?P<amount>{REAL})(?P<magnitudes>{_MAGNITUDES}) ?(?P<sign>[$£€¥₩₹¢])(?! ?\d)"),
        _money_after,
    ),
)
FRACTIONS: tuple[Rule, ...] = (
    ("/", re.compile(rf"{NO_DIGIT_BEFORE}(?:(\d+)[ -]+)?(\d{{1,2}})/(\d{{1,3}})(?![\d/]|\.\d)"), _fraction),
)
QUANTITIES: tuple[Rule, ...] = (
    (
        "",
        re.compile(
            rf"(?P<amount>{REAL})(?: |(?P<hyphen>-))?(?P<unit>{_LONG_UNITS})(?P<power>[²³23])?(?![\w/])"
        ),
        _quantity,
    ),
    (
        "gh",
        re.compile(rf"(?P<amount>{REAL})(?P<hyphen>-)?(?P<unit>[gh])(?P<power>[²³23])?(?![\w/'])"),
        _quantity,
    ),
    ("°", re.compile(rf"({REAL}) ?°(?: ?([CF])\b)?"), _degrees),
)
