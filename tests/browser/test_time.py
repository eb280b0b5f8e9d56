"""Through time and Compare: the numbers of the server, for both models and both sentences, and what they begin with."""

import math
from pathlib import Path
from typing import Any

import pytest

from support.browser_page import Keys

TEXT = "People in Ludden tell the time by the tide."
PAIR = ("They say the tide turns.", "They say the time turns.")


@pytest.fixture
def times(page: Any) -> Any:
    """The page with a text of which Through time shows the influences."""
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


def reading(ratios: list[float]) -> str:
    """The sentence about the gradients: how many steps back they reach a hundredth of the last one."""
    first = next(k for k, ratio in enumerate(ratios) if ratio >= 0.01)
    if first > 0:
        return f"More than {len(ratios) - first} steps back the gradient stays below 1% of that of the last step."
    return f"The gradient reaches back all {len(ratios)} steps: at the first one it is "


def check_gradients(page: Any, server: Any, index: int) -> None:
    """The bars of both models show the server's norms relative to the last, and the sentences how far they reach."""
    for side, model in (("one", "lstm"), ("other", "rnn")):
        right = server.ask("/through-time", {"model": model, "text": TEXT, "index": index})
        page.until(
            "document.querySelectorAll(`#time-list-${arguments[0]} .time-of`).length === arguments[1]"
            " && document.querySelector(`#time-title-${arguments[0]}`).textContent.startsWith(arguments[2])",
            side, len(right["norms"]), f"{model} ({model.upper()}): P(“{right['token'].strip()}”) = ",
        )  # fmt: skip
        ratios = [norm / right["norms"][-1] for norm in right["norms"]]
        for shown, ratio in zip(bars_of(page, side), ratios, strict=True):
            if ratio > 1e-8 * max(ratios):
                assert math.isclose(shown, ratio, rel_tol=1e-3) or shown < 1.1 * min(bars_of(page, side)), (
                    side
                )
        assert page.text(f"#time-reading-{side}").startswith(reading(ratios)), side


@pytest.fixture
def gradients(times: Any) -> Any:
    """The panel with its second view."""
    times.click("#time-view button[value='gradient']")
    times.until("document.querySelector('#time-list-one .time-of')?.ariaLabel.includes('gradient norm')")
    return times


def test_a_click_on_a_token_shows_the_gradients_of_both_models(gradients: Any, server: Any) -> None:
    check_gradients(gradients, server, len(TEXT) - 1)
    gradients.click('#time-text .token[data-index="20"]')
    gradients.until("elman.app.store.get('cursor') === 20")
    check_gradients(gradients, server, 20)


def test_the_influences_are_those_of_the_server(times: Any, server: Any) -> None:
    index = 20
    times.click(f'#time-text .token[data-index="{index}"]')
    for side, model in (("one", "lstm"), ("other", "rnn")):
        right = server.ask("/influence", {"model": model, "text": TEXT, "index": index})
        times.until(
            "document.querySelectorAll(`#time-list-${arguments[0]} .time-of`).length === arguments[1]",
            side, index,
        )  # fmt: skip
        top = times.js(
            """const marks = [...document.querySelectorAll(`#time-bars-${arguments[0]} .time-axis span`)];
            return Number(marks.at(-1).textContent) / Number(marks.at(-1).style.getPropertyValue("--part"))""",
            side,
        )
        parts = times.js(
            """return [...document.querySelectorAll(`#time-list-${arguments[0]} .time-bar`)].map((bar) =>
            Number(bar.style.getPropertyValue("--part")))""",
            side,
        )
        assert [part * top for part in parts] == pytest.approx(right["bits"], abs=1e-6)
        said = times.text(f"#time-reading-{side}")
        most = max(right["bits"])
        if most < 0.5:
            assert (
                said
                == f"“{TEXT[index]}” depends on no earlier token: no likely replacement changes its "
                + ("surprisal by 0.5 bits.")
            )
        else:
            at = right["bits"].index(most)
            beginning = (
                f"“{TEXT[index]}” depends most on “{TEXT[at].replace(' ', '␣')}”, {index - at} tokens back: "
            )
            assert said.startswith(beginning)


def test_bars_are_read_and_selected_with_keys(gradients: Any, server: Any) -> None:
    gradients.click('#time-text .token[data-index="20"]')
    check_gradients(gradients, server, 20)
    gradients.one("#time-list-one .time-of:last-child").send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    right = server.ask("/through-time", {"model": "lstm", "text": TEXT, "index": 20})
    readout = gradients.text("#time-readout")
    assert readout.startswith(f"lstm: “{TEXT[17]}”, steps back: 3, gradient norm ")
    assert readout == f"lstm: {gradients.js('return document.activeElement.getAttribute(`aria-label`)')}"
    assert math.isclose(
        float(readout.partition("norm ")[2].partition(",")[0]), right["norms"][-3], rel_tol=0.06
    )
    gradients.press(Keys.ENTER)
    gradients.until("elman.app.store.get('cursor') === 17")
    check_gradients(gradients, server, 17)


def test_the_view_is_chosen_with_keys_alone(times: Any) -> None:
    times.one("#time-view button[value='influence']").send_keys(Keys.TAB, Keys.ENTER)
    times.until(
        "document.activeElement.value === 'gradient' && document.activeElement.ariaPressed === 'true'"
    )
    times.until(
        "document.querySelector('#time-explained').textContent.includes('does not mean that the word')"
    )
    assert times.text("#time-explained").endswith("while a network learns.")


def test_models_of_rooms_open_on_the_greeted_name(visit: Any, serve: Any, rooms: dict[str, Path]) -> None:
    server = serve(rooms["gru"], rooms["ko"], rooms["rnn"])
    page = visit(server.address).open()
    right = server.ask("/examples", {"model": "gru"})
    opening = right["opening"]
    assert opening["text"].split()[opening["position"]] == "Tom"
    page.until("elman.app.store.get('scored')?.text === arguments[0]", opening["text"])
    assert page.get("cursor") == opening["position"]
    page.until("document.querySelector('#next-note').textContent.includes('(the text has “Tom”)')")
    page.show("time")
    page.until(
        "document.querySelectorAll('#time-list-other .time-of').length === arguments[0]", opening["position"]
    )
    assert page.texts("#time-other option") == ["no other model", "rnn (RNN)"]  # not the Korean one
    assert page.js(
        "const e = document.querySelector('#time-list-one').parentElement; return e.scrollWidth <= e.clientWidth"
    )
    page.show("compare")
    (pair, *_) = right["pairs"]
    page.until("document.querySelector('#compare-a').value === arguments[0]", pair["texts"][0])
    said = "They differ after “… The dog barked at Ann . Mary said hi to”: “Tom” or “Ann”."
    page.until("document.querySelector('#compare-parting').textContent === arguments[0]", said)
    page.choose("#model", "ko")
    page.until("elman.app.store.get('scored')?.text.endsWith('톰 에게 인사했다 .')")
    assert page.get("scored")["tokens"][page.get("cursor")]["token"].strip() == "톰"
    page.until("document.querySelector('#compare-b').value.endsWith('앤 에게 인사했다 .')")


def test_two_impossible_sentences_are_not_called_natural(visit: Any, server: Any) -> None:
    page = visit(server.address).open()
    page.choose("#model", "words")
    page.settled()  # the sentences of this model have come
    page.show("compare")
    for field, text in zip("ab", ("you zeppelin", "zeppelin you"), strict=True):
        page.type(text, f"#compare-{field}")
    page.until("document.querySelector('#compare-verdict').textContent.startsWith('To the model both')")


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
    page.click("#compare-examples button[data-pair='1']")
    page.until("document.querySelector('#compare-a').value.startsWith('the keys')")
    page.type("", "#compare-b")
    page.until("document.querySelector('#compare-verdict').textContent === 'Write two sentences.'")
