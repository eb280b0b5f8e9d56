"""Next: the bars show the numbers of the server, the sliders change them, a candidate can be appended."""

from typing import Any

import pytest

from support.browser_page import Keys

TEXT = "The river "
SLIDERS = {"temperature": "#slider-temperature", "top_k": "#slider-top-k", "top_p": "#slider-top-p"}

MOVES = (
    ("temperature", [Keys.ARROW_LEFT] * 8),
    ("temperature", [Keys.ARROW_RIGHT] * 10),
    ("temperature", [Keys.HOME]),
    ("top_k", [Keys.ARROW_RIGHT] * 3),
    ("top_p", [Keys.HOME, *[Keys.ARROW_RIGHT] * 25]),
)


@pytest.fixture
def beginning(page: Any) -> Any:
    """The page with a text whose next characters are shown as the model has them."""
    page.write(TEXT)
    page.show("next")
    page.click("#next-reset")
    assert "he river" in page.text("#next-note")
    page.js("window.bars = " + BARS)
    return page


BARS = """() => [...document.querySelectorAll("#next-bars .bar")].map((bar) => [
  bar.querySelector(".bar-name").textContent,
  Number(bar.querySelector(".bar-fill").style.getPropertyValue("--ratio")),
  bar.querySelector(".bar-value").textContent])"""


def right_ones(page: Any, server: Any, **settings: float) -> list[tuple[str, float]]:
    """What the server has for the first bars: their names, and their probabilities."""
    fields = {"model": "lstm", "prompt": TEXT, "top": 12}
    names = [each["token"] for each in server.ask("/next", fields)["candidates"]]
    found = server.ask("/next", {**fields, **settings})["candidates"]
    probabilities = {each["token"]: each["probability"] for each in found}
    return [
        (page.js("return elman.readable(arguments[0])", name), probabilities.get(name, 0.0)) for name in names
    ]


def agrees(page: Any, server: Any, **settings: float) -> None:
    """The bars show the server's probabilities for these settings."""
    right = right_ones(page, server, **settings)
    most = max(probability for _, probability in right)
    close = """arguments[0].every(([name, p], k) => {
      const [shown, ratio, percent] = bars()[k];
      return shown === name && Math.abs(ratio - p / arguments[1]) < 1e-3 && percent === elman.app.words.percent(p);
    })"""
    page.until(close, right, most)


def move(page: Any, slider: str, *keys: str) -> float | int:
    element = page.one(SLIDERS[slider])
    page.js("arguments[0].scrollIntoView({block: 'center'})", element)
    element.send_keys(*keys)
    value = element.get_property("value")
    return int(value) if slider == "top_k" else float(value)


def test_the_bars_are_the_servers_probabilities(beginning: Any, server: Any) -> None:
    agrees(beginning, server)
    entropy = server.ask("/next", {"model": "lstm", "prompt": TEXT, "top": 1})["entropy_bits"]
    assert f"entropy {entropy:.1f} bits" in beginning.text("#next-note")


def test_a_slider_reshapes_the_bars_as_the_server_does(beginning: Any, server: Any) -> None:
    before = beginning.js("return bars()")
    for slider, keys in MOVES:
        value = move(beginning, slider, *keys)
        agrees(beginning, server, **{slider: value})
        assert beginning.js("return bars()") != before
        beginning.click("#next-reset")
        agrees(beginning, server)


def test_the_sliders_work_together(beginning: Any, server: Any) -> None:
    settings = {
        "temperature": move(beginning, "temperature", *[Keys.ARROW_RIGHT] * 6),
        "top_k": move(beginning, "top_k", *[Keys.ARROW_RIGHT] * 8),
        "top_p": move(beginning, "top_p", Keys.HOME, *[Keys.ARROW_RIGHT] * 60),
    }
    agrees(beginning, server, **settings)
    assert beginning.all("#next-bars .bar.cut")


def test_a_candidate_is_appended_by_a_click_and_by_enter(beginning: Any, server: Any) -> None:
    agrees(beginning, server)
    first, second = beginning.get("text"), None
    for press in (lambda bar: beginning.click(bar), lambda bar: beginning.one(bar).send_keys(Keys.ENTER)):
        (best,) = server.ask("/next", {"model": "lstm", "prompt": first, "top": 1})["candidates"]
        press("#next-bar-0")
        second = first + best["token"]
        beginning.until("elman.app.store.get('scored')?.text === arguments[0]", second)
        assert beginning.one("#write-text").get_property("value") == second
        beginning.until("document.activeElement.id === 'next-bar-0' && !document.activeElement.disabled")
        beginning.show("next")
        assert second.strip()[-6:] in beginning.text("#next-note .after")
        first = second
    beginning.click("#write-undo")
    beginning.until("elman.app.store.get('text') === arguments[0]", second[:-1])


def test_the_cursor_asks_what_was_expected_in_its_place(beginning: Any, server: Any) -> None:
    there = '#write-tokens .token[data-index="4"]'
    beginning.click(there)
    beginning.until("document.querySelector('#next-note').textContent.includes('the text has “r”')")
    candidates = server.ask("/next", {"model": "lstm", "prompt": TEXT[:4], "top": 12})["candidates"]
    first = "document.querySelector('#next-bar-0 .bar-name').textContent === elman.readable(arguments[0])"
    beginning.until(first, candidates[0]["token"])
    among = ["r"] if any(each["token"] == "r" for each in candidates) else []
    assert beginning.texts("#next-bars .actual .bar-name") == among
    beginning.one(there).send_keys(Keys.ESCAPE)
    beginning.until("elman.app.store.get('cursor') === null")
    agrees(beginning, server)


def test_a_sentence_says_what_the_temperature_does(beginning: Any) -> None:
    page = beginning
    own = page.text("#next-result")
    assert own.startswith("These are the model's own probabilities:")
    move(page, "temperature", Keys.HOME)
    said = "document.querySelector('#next-result').textContent"
    page.until(f"{said}.includes('has 100% instead of')")
    assert "as among 1.0 equally likely tokens instead of" in page.text("#next-result")
