"""An SVG picture of boxes, arrows and labels, in the colours and fonts of the page, for light and dark screens."""

import math
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from elman.errors import ConfigError
from elman.files import atomic_write
from elman.language import is_korean
from elman.web import read_assets

LANGUAGES = ("en", "ko")
WIDTH = 560  # units of a figure: at 390 pixels, the width of a phone, its text is still 10 pixels high
SIZE, SMALL = 17, 15  # of text

Label = str | tuple[str, str]  # in every language, or English and Korean
Point = tuple[float, float]
Kind = Literal["ink", "soft", "forward", "backward"]

_VARIABLE = re.compile(r"--([\w-]+):\s*([^;]+);")
_SCRIPT = re.compile(r"([_^])(\{[^}]*\}|\w)")  # h_t, h_{t-1}, x^2
_ROLES = {"ink": "ink", "soft": "soft", "forward": "accent", "backward": "warm"}  # kind: colour of the page


@dataclass(frozen=True)
class Figure:
    """A finished picture: ``svg`` is its source, ``about`` says in words what it shows. Notebooks display it."""

    svg: str
    title: str
    about: str

    def __repr__(self) -> str:
        return f"Figure({self.title!r})"

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to an SVG file."""
        with atomic_write(Path(path)) as file:
            file.write(self.svg.encode("utf-8"))


@dataclass(frozen=True)
class Box:
    """A rectangle, or the one around a circle, by its middle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def top(self) -> Point:
        """The middle of the upper edge."""
        return self.x, self.y - self.height / 2

    @property
    def bottom(self) -> Point:
        """The middle of the lower edge."""
        return self.x, self.y + self.height / 2

    @property
    def left(self) -> Point:
        """The middle of the left edge."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        """The middle of the right edge."""
        return self.x + self.width / 2, self.y


def checked_language(lang: str | None) -> str:
    """Return the language; None is the user's. Raises ConfigError for one that figures do not speak."""
    if lang is None:
        return "ko" if is_korean() else "en"
    if lang not in LANGUAGES:
        raise ConfigError(f"lang must be one of {', '.join(LANGUAGES)}, got {lang!r}")
    return lang


def text_width(text: str, size: float = SIZE) -> float:
    """Estimate the width of a text: SVG cannot measure one before it is drawn."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return size * (wide * 0.95 + (len(text) - wide) * 0.54)


class Drawing:
    """A picture being drawn. Points are (x, y) from the top left corner; a label may be (English, Korean)."""

    def __init__(
        self, height: float, title: Label, about: Label, lang: str | None, width: float = WIDTH
    ) -> None:
        self.lang = checked_language(lang)
        self._title, self._about = self.say(title), self.say(about)
        self._svg = ElementTree.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "class": "elman-figure",
                "viewBox": f"0 0 {_number(width)} {_number(height)}",
                "width": _number(width * 1.25),
                "height": _number(height * 1.25),
                "role": "img",
                "lang": self.lang,
                "aria-label": self._about,
            },
        )
        ElementTree.SubElement(self._svg, "title").text = self._title
        ElementTree.SubElement(self._svg, "style").text = _style()
        self._add("rect", {"width": width, "height": height, "rx": 8}, "ground")

    def say(self, label: Label) -> str:
        """Return a label in the language of the figure."""
        return label if isinstance(label, str) else label[LANGUAGES.index(self.lang)]

    def finish(self) -> Figure:
        """Return the picture."""
        for element in self._svg:  # a line each; inside a text, whitespace would be drawn
            element.tail = "\n"
        return Figure(ElementTree.tostring(self._svg, encoding="unicode") + "\n", self._title, self._about)

    def text(
        self,
        at: Point,
        label: Label,
        kind: Kind = "ink",
        *,
        size: float = SIZE,
        anchor: Literal["start", "middle", "end"] = "middle",
        bold: bool = False,
        raw: bool = False,
    ) -> None:
        """Write a label, its middle line at a point. h_t and h_{t-1} get subscripts unless it is ``raw``."""
        values: dict[str, object] = {"x": at[0], "y": at[1] + size * 0.35, "text-anchor": anchor}
        styles = [f"font-size:{_number(size)}px"] * (size != SIZE) + ["font-weight:bold"] * bold
        if styles:
            values["style"] = ";".join(styles)
        element = self._add("text", values, kind)
        said = self.say(label)
        if raw:
            element.text = said
        else:
            _write_scripts(element, said, size)

    def box(
        self,
        at: Point,
        size: tuple[float, float],
        label: Label = "",
        look: Literal["layer", "marked", "outlined", "forward", "backward"] = "layer",
        *,
        note: Label = "",
        font: float = SIZE,
        raw: bool = False,
    ) -> Box:
        """Draw a rectangle around its middle, with a label and a smaller note below it inside."""
        box = Box(*at, *size)
        self._add(
            "rect",
            {
                "x": at[0] - size[0] / 2,
                "y": at[1] - size[1] / 2,
                "width": size[0],
                "height": size[1],
                "rx": min(6, *size),
            },
            f"box {look}",
        )
        if label:
            self.text((at[0], at[1] - (9 if note else 0)), label, size=font, raw=raw)
        if note:
            self.text((at[0], at[1] + 11), note, "soft", size=SMALL)
        return box

    def node(self, at: Point, label: Label, radius: float = 18, size: float = SIZE) -> Box:
        """Draw an operation of a computation graph: a circle with its sign."""
        self._add("circle", {"cx": at[0], "cy": at[1], "r": radius}, "box outlined")
        self.text(at, label, size=size)
        return Box(*at, 2 * radius, 2 * radius)

    def dot(self, at: Point, kind: Kind = "forward", radius: float = 4.5) -> Box:
        """Draw a branch: the place where one arrow becomes two copies."""
        self._add("circle", {"cx": at[0], "cy": at[1], "r": radius}, f"fill {kind}")
        return Box(*at, 0, 0)

    def line(
        self, points: Sequence[Point], kind: Kind = "ink", width: float = 2, dashed: bool = False
    ) -> None:
        """Draw a line through points, with round corners."""
        values: dict[str, object] = {"d": _rounded(points), "stroke-width": width}
        if dashed:
            values["stroke-dasharray"] = "5 5"
        self._add("path", values, f"line {kind}")

    def arrow(
        self, start: Point, *more: Point, kind: Kind = "forward", width: float = 2, dashed: bool = False
    ) -> None:
        """Draw an arrow through points to the last one."""
        before, end = ([start, *more])[-2:]
        length = math.dist(before, end) or 1.0
        head = min(6 + 1.5 * width, 0.8 * length)
        ux, uy = (end[0] - before[0]) / length, (end[1] - before[1]) / length
        neck = (end[0] - 0.8 * head * ux, end[1] - 0.8 * head * uy)
        self.line([start, *more[:-1], neck], kind, width, dashed)
        self._head(end, (ux, uy), head, kind)

    def arc(
        self,
        start: Point,
        end: Point,
        height: float,
        kind: Kind = "forward",
        width: float = 2,
        dashed: bool = False,
    ) -> None:
        """Draw a curved arrow that rises ``height`` above the higher of its ends (below, if negative)."""
        level = (min if height > 0 else max)(start[1], end[1]) - height * 4 / 3
        head = 6 + 1.5 * width
        x3, y3 = end
        lean = 0.25 * (x3 - start[0])
        x1, x2 = start[0] + lean, x3 - lean
        length = math.dist((x2, level), end) or 1.0
        ux, uy = (x3 - x2) / length, (y3 - level) / length
        neck = x3 - 0.8 * head * ux, y3 - 0.8 * head * uy
        path = f"M{_pair(start)}C{_pair((x1, level))} {_pair((x2, level))} {_pair(neck)}"
        values: dict[str, object] = {"d": path, "stroke-width": width}
        if dashed:
            values["stroke-dasharray"] = "5 5"
        self._add("path", values, f"line {kind}")
        self._head(end, (ux, uy), head, kind)

    def _head(self, end: Point, direction: Point, length: float, kind: Kind) -> None:
        """Draw the head of an arrow in a direction of length 1."""
        (x, y), (ux, uy) = end, direction
        back, half = (x - length * ux, y - length * uy), length * 0.42
        corners = [
            end,
            (back[0] - half * uy, back[1] + half * ux),
            (back[0] + half * uy, back[1] - half * ux),
        ]
        self._add("polygon", {"points": " ".join(map(_pair, corners))}, f"fill {kind}")

    def bracket(
        self, x0: float, x1: float, y: float, label: Label, kind: Kind = "soft", up: bool = False
    ) -> None:
        """Draw a bracket below (or above) a range, and its label."""
        side = -1 if up else 1
        self.line([(x0, y), (x0, y + 7 * side), (x1, y + 7 * side), (x1, y)], kind, 1.5)
        self.text(((x0 + x1) / 2, y + 21 * side), label, kind, size=SMALL)

    def scissors(self, at: Point, size: float = 9) -> None:
        """Draw scissors that cut a line from above."""
        x, y = at
        for side in (-1, 1):
            self.line([(x - 0.7 * size * side, y - size), (x + 0.6 * size * side, y + size)], "backward", 2)
            self._add(
                "circle",
                {"cx": x - 0.9 * size * side, "cy": y - 1.45 * size, "r": size / 2, "stroke-width": 2},
                "line backward",
            )

    def _add(self, tag: str, values: dict[str, object], names: str) -> ElementTree.Element:
        written = {name: _number(v) if isinstance(v, (int, float)) else str(v) for name, v in values.items()}
        return ElementTree.SubElement(self._svg, tag, {**written, "class": names})


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _pair(point: Point) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def _rounded(points: Sequence[Point], radius: float = 10) -> str:
    """Return the path through points, its corners rounded."""
    path = f"M{_pair(points[0])}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        r = min(radius, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        path += f"L{_pair(_towards(corner, before, r))}Q{_pair(corner)} {_pair(_towards(corner, after, r))}"
    return f"{path}L{_pair(points[-1])}"


def _towards(start: Point, end: Point, distance: float) -> Point:
    """Return the point at a distance from start on the way to end."""
    part = distance / (math.dist(start, end) or 1.0)
    return start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1])


def _write_scripts(element: ElementTree.Element, text: str, size: float) -> None:
    """Write a text into an element, with h_t and x^2 as a subscript and a superscript."""
    end, shift, last = 0, 0.0, None
    for found in _SCRIPT.finditer(text):
        last = _append(element, last, text[end : found.start()], -shift)
        shift = size * (0.25 if found[1] == "_" else -0.35)
        last = ElementTree.SubElement(
            element, "tspan", {"dy": _number(shift), "font-size": _number(size * 0.75)}
        )
        last.text = found[2].strip("{}")
        end = found.end()
    _append(element, last, text[end:], -shift)


def _append(
    element: ElementTree.Element, last: ElementTree.Element | None, text: str, shift: float
) -> ElementTree.Element | None:
    """Write text after the last span of an element, raised or lowered by ``shift`` against it."""
    if not text:
        return last
    if last is None:
        element.text = text
        return None
    span = ElementTree.SubElement(element, "tspan", {"dy": _number(shift)})
    span.text = text
    return span


@cache
def _style() -> str:
    """Return the style sheet of a figure, in the page's fonts and its colours for light and dark screens."""
    sheet = read_assets()["style.css"].body.decode("utf-8")
    light, dark = (
        dict(_VARIABLE.findall(block)) for block in re.findall(r":root\s*\{(.*?)\}", sheet, re.DOTALL)[:2]
    )
    sans = re.sub(r"\s+", " ", light["sans"]).replace('"', "'").strip()
    return (
        f".elman-figure text{{font:{SIZE}px {sans};stroke:none}}{_colours(light)}"
        f"@media (prefers-color-scheme:dark){{{_colours(dark)}}}"
    )


def _colours(colour: dict[str, str]) -> str:
    rules = {".ground": f"fill:{colour['ground']}"}
    for kind, name in _ROLES.items():
        rules[f"text.{kind}"] = rules[f".fill.{kind}"] = f"fill:{colour[name]}"
        rules[f".line.{kind}"] = f"fill:none;stroke:{colour[name]}"
    rules[".box"] = f"fill:{colour['raised']};stroke:{colour['edge']};stroke-width:1.5"
    rules[".box.marked"] = f"fill:{colour['notice']}"
    rules[".box.outlined"] = f"fill:{colour['ground']}"
    rules[".box.forward"] = f"stroke:{colour['accent']}"
    rules[".box.backward"] = f"stroke:{colour['warm']}"
    return "".join(f".elman-figure {selector}{{{rule}}}" for selector, rule in rules.items())
