"""Through time and Compare: they show the numbers of the server, for both models and both sentences."""

import math
from typing import Any

import pytest

from support.browser_page import Keys

TEXT = "People in Ludden tell the time by the tide."
PAIR = ("They say the tide turns.", "They say the time turns.")


@pytest.fixture
def times(page: Any) -> Any:
    """The page with a text whose gradients are shown."""
    page.write(TEXT)
    page.show("time")
    page.until("document.querySelectorAll('#time-text .token').length === arguments[0]", len(TEXT))
    return page


def bars_of(page: Any, side: str) -> list[float]:
    """The norms that the bars show, read back from their heights."""
    low, high = page.js(
        """const marks = [...document.querySelectorAll(`#time-bars-${arguments[0]} .time-axis span`)];
        const power = (mark) => Number(mark.querySelector("sup").textContent.replace("−", "-"));
        const part = (mark) => Number(mark.style.getPropertyValue("--part"));
        const [top, next] = [marks[0], marks[1]];
        const decade = (power(top) - power(next)) / (part(top) - part(next));
        return [power(top) - decade * part(top), power(top) + decade * (1 - part(top))]""",
        side,
    )
    parts = page.js(
        """return [...document.querySelectorAll(`#time-list-${arguments[0]} .time-bar`)].map((bar) =>
        Number(bar.style.getPropertyValue("--part")))""",
        side,
    )
    return [10 ** (low + part * (high - low)) if part > 0 else 0.0 for part in parts]


def reading(norms: list[float]) -> str:
    """The sentence about the gradients: how many steps back they reach a hundredth of the largest one."""
    reaching = [k for k, norm in enumerate(norms) if norm >= 0.01 * max(norms)]
    if (first := reaching[0]) > 0:
        steps = len(norms) - first
        return (
            f"More than {steps} steps back the gradient stays below 1% of its largest value: it has vanished."
        )
    return f"The gradient reaches back all {len(norms)} steps: at the first token, "


def check_gradients(page: Any, server: Any, index: int) -> None:
    """The bars of both models show the norms of the server, and the sentences say how far they reach."""
    for side, model in (("one", "lstm"), ("other", "rnn")):
        right = server.ask("/through-time", {"model": model, "text": TEXT, "index": index})
        page.until(
            "document.querySelectorAll(`#time-list-${arguments[0]} .time-of`).length === arguments[1]"
            " && document.querySelector(`#time-title-${arguments[0]}`).textContent.startsWith(arguments[2])",
            side, len(right["norms"]), f"{model} ({model.upper()}): “{right['token'].strip()}”",
        )  # fmt: skip
        for shown, norm in zip(bars_of(page, side), right["norms"], strict=True):
            if norm > 1e-8 * max(right["norms"]):
                assert math.isclose(shown, norm, rel_tol=1e-3) or shown < 1.1 * min(bars_of(page, side)), side
        assert page.text(f"#time-reading-{side}").startswith(reading(right["norms"])), side


def test_a_click_on_a_token_shows_the_gradients_of_both_models(times: Any, server: Any) -> None:
    check_gradients(times, server, len(TEXT) - 1)
    times.click('#time-text .token[data-index="20"]')
    times.until("elman.app.store.get('cursor') === 20")
    check_gradients(times, server, 20)


def test_bars_are_read_and_selected_with_keys(times: Any, server: Any) -> None:
    times.click('#time-text .token[data-index="20"]')
    check_gradients(times, server, 20)
    times.one("#time-list-one .time-of:last-child").send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    right = server.ask("/through-time", {"model": "lstm", "text": TEXT, "index": 20})
    readout = times.text("#time-readout")
    assert readout.startswith(f"lstm: “{TEXT[17]}”, steps back: 3, gradient norm ")
    assert readout == f"lstm: {times.js('return document.activeElement.getAttribute(`aria-label`)')}"
    assert math.isclose(
        float(readout.partition("norm ")[2].partition(",")[0]), right["norms"][-3], rel_tol=0.06
    )
    times.press(Keys.ENTER)
    times.until("elman.app.store.get('cursor') === 17")
    check_gradients(times, server, 17)


def test_one_model_alone(times: Any) -> None:
    times.until("document.querySelectorAll('.time-side:not([hidden])').length === 2")
    times.choose("#time-other", "")
    times.until("document.querySelector('#time-side-other').hidden")


def test_compare_says_which_is_more_natural_and_where_they_differ(page: Any, server: Any) -> None:
    page.show("compare")
    for field, text in zip("ab", PAIR, strict=True):
        page.type(text, f"#compare-{field}")
    answers = server.ask("/score", {"model": "lstm", "text": list(PAIR), "eos": True})["results"]
    bits = [-answer["ln_prob"] / math.log(2) for answer in answers]
    better = PAIR[bits[0] > bits[1]]
    said = f"“{better}” is more natural, by {abs(bits[0] - bits[1]):.1f} bits"
    page.until("document.querySelector('#compare-verdict').textContent.startsWith(arguments[0])", said)
    assert page.text("#compare-parting") == "They differ after “They say the ti”: “d” or “m”."
    for row, answer in enumerate(answers, 1):
        shown = page.texts(f"#compare-pairs .half:nth-child({row}) .bits")
        assert [each for each in shown if each.strip()] == [
            f"{each['surprisal_bits']:.1f}" for each in answer["tokens"]
        ]  # fmt: skip
    page.click("#compare-swap")
    page.until("document.querySelector('#compare-parting').textContent.includes('“m” or “d”')")
    page.click("#compare-examples button[value='1']")
    page.until("document.querySelector('#compare-a').value.startsWith('the keys')")
    page.type("", "#compare-b")
    page.until("document.querySelector('#compare-verdict').textContent === 'Write two sentences.'")
