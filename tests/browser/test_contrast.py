"""WCAG 2 AA: every text that is seen has a contrast of 4.5 to what is behind it, every mark one of 3."""

from typing import Any

import pytest

BITS = (0.0, 0.1, 0.3, 1.0, 2.0, 4.0, 7.0, 11.0, 16.0, 20.0, 40.0)
PANELS = ("unroll", "train", "lesson", "write", "next", "time", "inside", "compare")

# [text, colour, what is behind it, size in px, weight] of every text that is seen; backgrounds are laid on one another
SEEN = """
const parse = (css) => {
  const [r, g, b, a = 1] = css.match(/[\\d.]+/g).map(Number);
  return css.startsWith("color(srgb") ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
};
const over = ([r, g, b, a], [R, G, B]) => [[r, R], [g, G], [b, B]].map(([x, y]) => x * a + y * (1 - a));
const ground = (e) => {
  const own = e.parentElement ? ground(e.parentElement) : parse(getComputedStyle(document.body).backgroundColor);
  return over(parse(getComputedStyle(e).backgroundColor), own);
};
const faint = (e) => (e ? Number(getComputedStyle(e).opacity) * faint(e.parentElement) : 1);
const written = (e) => e.matches("input:not([type=range]), textarea, select")
  || [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
const seen = (e) => e.checkVisibility({visibilityProperty: true}) && !e.closest(".visually-hidden, .skip, noscript")
  && e.getClientRects().length > 0;
return [...document.querySelectorAll("body *")].filter((e) => written(e) && seen(e) && e.tagName !== "OPTION")
  .flatMap((e) => {
    const behind = ground(e);
    return (e.placeholder ? [null, "::placeholder"] : [null]).map((part) => {
      const style = getComputedStyle(e, part);
      const colour = over([...parse(style.color).slice(0, 3), parse(style.color)[3] * faint(e)], behind);
      const name = `${e.tagName}#${e.id}.${e.className} ${e.textContent.slice(0, 40)}`;
      return [name, colour, behind, parseFloat(style.fontSize), Number(style.fontWeight)];
    });
  });
"""
MARKS = ("curve-training", "curve-valid", "curve-norm", "curve-ink", "accent", "focus", "edge", "warm")


def luminance(colour: list[float]) -> float:
    parts = [value / 255 for value in colour[:3]]
    r, g, b = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: list[float], other: list[float]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def hex_colour(text: str) -> list[float]:
    digits = text.strip().lstrip("#")
    return [float(int(digits[at : at + 2], 16)) for at in (0, 2, 4)]


def test_the_measure_is_that_of_wcag() -> None:
    assert contrast([0, 0, 0], [255, 255, 255]) == pytest.approx(21)
    assert contrast([119, 119, 119], [255, 255, 255]) == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(page: Any, scheme: str) -> None:
    page.look(scheme=scheme)
    page.until("elman.colour.scheme() === arguments[0]", scheme)
    page.write("People in Ludden tell the tide, the the the kkggvv pmfw he said.")
    for panel in PANELS:
        page.show(panel)
    assert len(page.all("#time-list-other .time-of")) > 20
    page.click("#lesson-step")
    page.until("document.querySelectorAll('#lesson-back-table td').length === 4")
    page.choose("#inside-property", "space")
    page.show("inside")
    assert len(page.all("#inside-found button")) > 4
    page.click("#inside-found button")
    page.click('#write-tokens .token[data-index="3"]')
    page.until("document.activeElement.dataset.index === '3'")
    page.js(
        "elman.app.report(new elman.Failure('refused', 'a notice')); document.querySelector('#keys').open = true"
    )
    page.js("for (const id of ['away', 'key-form']) document.getElementById(id).hidden = false")
    page.until("!document.querySelector('#tip').hidden && document.querySelectorAll('.stale').length === 0")
    page.idle()
    page.until("document.getAnimations().length === 0")
    found = page.js(SEEN)
    assert len(found) > 250
    assert {each[0].partition("#")[0] for each in found} >= {
        "TEXTAREA",
        "BUTTON",
        "H2",
        "SPAN",
        "SELECT",
        "TD",
    }
    poor = [
        (name, round(contrast(colour, behind), 2))
        for name, colour, behind, size, weight in found
        if contrast(colour, behind) < (3 if size >= 24 or (size >= 18.66 and weight >= 700) else 4.5)
    ]
    assert poor == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_of_numbers_and_marks_can_be_told_from_what_is_behind(page: Any, scheme: str) -> None:
    page.look(scheme=scheme)
    page.until("elman.colour.scheme() === arguments[0]", scheme)
    pairs = page.js(
        """const both = ({background, ink}) => [background, ink].map((css) => css.match(/[\\d.]+/g).map(Number));
        return [...arguments[0].map((bits) => both(elman.colour.surprisal(bits))),
          both(elman.colour.surprisal(null)),
          ...[-1, -0.7, -0.4, -0.1, 0, 0.2, 0.5, 0.8, 1].map((v) => both(elman.colour.diverging(v, 1)))]""",
        BITS,
    )
    assert all(contrast(background, ink) >= 4.5 for background, ink in pairs)
    lights = [luminance(background) for background, _ in pairs[: len(BITS)]]
    assert lights == sorted(lights, reverse=scheme == "light")  # the lightness alone tells the order
    style = "getComputedStyle(document.documentElement).getPropertyValue(`--${arguments[0]}`)"
    ground = hex_colour(page.js(f"return {style}", "ground"))
    for name in MARKS:
        colour = page.js(f"return {style}", name)
        while "var(" in colour:
            colour = page.js(f"return {style}", colour.strip()[6:-1])
        assert contrast(hex_colour(colour), ground) >= 3, name
