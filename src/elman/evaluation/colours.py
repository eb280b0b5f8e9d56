"""The colours of surprisals: those of the page of `elman serve` (web/assets/js/colour.js), for light and dark pages."""

import math
from typing import Literal

MIN_BITS, MAX_BITS = 0.1, 20.0  # of the logarithmic scale
# from the background of the page, through amber; the lightness alone gives the order
SURPRISAL = {
    "light": ("#fdfbf6", "#fdecc3", "#fbcb77", "#ec9a3c", "#c4621c", "#8a3a10", "#57200a"),
    "dark": ("#1a1b20", "#3a2718", "#6b3a15", "#a65a16", "#d98b2b", "#f3bf63", "#fff0c4"),
}
INKS = ((0, 0, 0), (255, 255, 255))
Colour = tuple[int, int, int]
Scheme = Literal["light", "dark"]


def surprisal_colours(bits: float, scheme: Scheme) -> tuple[str, str]:
    """Return the background and the ink of a surprisal in bits, as CSS colours; infinity has the last colour."""
    place = math.log(min(max(bits, MIN_BITS), MAX_BITS) / MIN_BITS) / math.log(MAX_BITS / MIN_BITS)
    stops = SURPRISAL[scheme]
    at = place * (len(stops) - 1)
    left = min(len(stops) - 2, int(at))
    pairs = zip(_rgb(stops[left]), _rgb(stops[left + 1]), strict=True)
    r, g, b = (math.floor(low + (high - low) * (at - left) + 0.5) for low, high in pairs)
    black, white = (_contrast((r, g, b), ink) for ink in INKS)
    return _css((r, g, b)), _css(INKS[0] if black >= white else INKS[1])


def _rgb(colour: str) -> Colour:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _css(colour: Colour) -> str:
    return f"rgb({' '.join(map(str, colour))})"


def _luminance(colour: Colour) -> float:
    """Return the relative luminance (Web Content Accessibility Guidelines 2)."""
    parts = [value / 255 for value in colour]
    r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def _contrast(one: Colour, other: Colour) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)
