"""Train: two networks that learn in view, asked whom Mary greets."""

from pathlib import Path
from typing import Any

import pytest

from elman.cli import main
from support.browser_page import Keys

MODELS = ["3-gram", "RNN", "GRU"]
READY = "!document.querySelector('#lesson-body').hidden"
BATCHES = "Number(document.querySelector('#lesson-result').textContent.match(/\\d+/)?.[0] ?? -1)"
ROWS = "#lesson-answers tbody"


def column(page: Any, number: int) -> list[str]:
    return page.texts(f"{ROWS} tr > :nth-child({number})")


def percent(text: str) -> float:
    return float(text.rpartition(" ")[2].rstrip("%"))


def begun(page: Any) -> Any:
    page.show("lesson")
    page.until(READY)
    return page


def focus(page: Any, selector: str) -> None:
    page.js("document.querySelector(arguments[0]).focus()", selector)


def test_a_guess_then_play_by_keyboard_until_the_gru_knows_the_name(page: Any) -> None:
    begun(page)
    assert page.text("#lesson-question").startswith("Tom was watching TV")
    focus(page, '#lesson-names button[value="Mary"]')
    page.press(Keys.ENTER)
    page.until(f"document.querySelectorAll('{ROWS} tr').length === 3")
    assert page.text("#lesson-verdict").startswith("No: Mary greets Tom")
    assert column(page, 1) == MODELS
    assert max(percent(text) for text in column(page, 5)) < 30
    focus(page, "#lesson-play")
    page.press(Keys.ENTER)
    page.until("document.querySelector('#lesson-result').textContent.includes('The GRU has known the name')")
    page.press(Keys.ENTER)
    page.until("document.querySelector('#lesson-play').textContent === 'Play'")
    page.show("lesson")  # with the batches that were on their way when it was paused
    assert page.text("#status") == "The GRU knows the name."
    said = page.text("#lesson-back-result")
    assert "In the RNN the gradient dies on its way" in said
    assert "In the GRU the gradient has reached the name" in said
    assert "does not mean that the name is forgotten" in said
    answers = column(page, 2)
    assert answers[2].startswith("Tom")
    for number in (3, 4, 5):
        trigrams, rnn, gru = (percent(text) for text in column(page, number))
        assert max(trigrams, rnn) < 40 < 80 < gru
    assert page.js("return document.querySelector('#lesson-curve').ariaLabel") == page.text("#lesson-result")
    assert len(page.texts("#lesson-samples dd")) == 2


BACK = "#lesson-back-table tbody tr"


def test_the_gradient_on_its_way_back_is_shown_from_the_first_batch_on(page: Any, server: Any) -> None:
    begun(page)
    page.click("#lesson-step")
    page.until(f"{BATCHES} === 5")
    focus(page, "#lesson-step")
    for batches in (10, 15):
        page.press(Keys.ENTER)
        page.until(f"{BATCHES} === {batches}")
    focus(page, "#lesson-back summary")
    page.press(Keys.ENTER)
    page.until("document.querySelector('#lesson-back details').open")
    begin = server.ask("/lesson", {})
    steps = [server.ask("/lesson/step", {"lesson": begin["lesson"], "batches": 5}) for _ in range(3)]
    gradients = steps[-1]["gradients"]
    assert page.texts(f"{BACK} th") == [str(each["batches"]) for each in gradients] == ["0", "5", "10", "15"]
    for side, name in enumerate(("RNN", "GRU")):
        ratios = [each["norms"][side][0] / each["norms"][side][-1] for each in gradients]
        shown = [float(text) for text in page.texts(f"{BACK} td:nth-child({side + 2})")]
        assert shown == pytest.approx(ratios, rel=0.06)
        lines = page.js(
            "return [...document.querySelectorAll('.back-side')][arguments[0]].querySelectorAll('polyline').length",
            side,
        )
        assert lines == len(gradients)
        verb = "dies on its way" if max(ratios) < 0.01 else "has reached the name"
        assert f"In the {name} the gradient {verb}" in page.text("#lesson-back-result")
    widths, opacities = (
        page.js(
            "return [...document.querySelectorAll('.back-one polyline')].map((e) => +e.getAttribute(arguments[0]))",
            attribute,
        )
        for attribute in ("stroke-width", "stroke-opacity")
    )
    assert widths == sorted(widths)
    assert opacities == sorted(opacities)
    assert opacities[-1] == 1
    assert "forgotten" not in page.text("#lesson-back-result")  # the answer is not certain yet
    page.click("#language-ko")
    page.until("document.querySelector('#lesson-back-result').textContent.includes('RNN에서는')")
    assert page.texts("#lesson-back svg") == ["", ""]
    labels = page.js("return [...document.querySelectorAll('#lesson-back svg')].map((e) => e.ariaLabel)")
    assert all("기울기 노름" in label for label in labels)


def test_steps_settings_and_the_language(page: Any) -> None:
    begun(page)
    page.click("#lesson-step")
    page.until(f"{BATCHES} === 5")
    page.click("#lesson-step")
    page.until(f"{BATCHES} === 10")
    page.choose("#lesson-time_size", "10")
    page.until(f"{BATCHES} === 0")
    assert "With T = 10 no gradient reaches the name" in page.text("#lesson-result")
    page.choose("#lesson-cell", "lstm")
    page.until(f"document.querySelectorAll('{ROWS} tr')[2]?.textContent.startsWith('LSTM')")
    page.click("#language-ko")
    page.until("document.querySelector('#lesson-question').textContent.startsWith('톰')")
    page.show("lesson")
    assert "%" in page.text(ROWS)
    page.click('#lesson-names button[value="톰"]')
    assert page.text("#lesson-verdict").startswith("맞습니다.")


def test_a_dropped_lesson_is_reported_and_a_new_one_begins(page: Any, server: Any) -> None:
    page.expected += ("404",)
    begun(page)
    page.click("#lesson-step")
    page.until(f"{BATCHES} === 5")
    for _ in range(8):
        server.ask("/lesson", {"hidden": 1})
    page.click("#lesson-step")
    page.until("!document.querySelector('#alert').hidden")
    assert page.text("#lesson-result") == "Press Play: both networks start to learn."
    page.click("#lesson-step")
    page.until(f"{BATCHES} === 5")
    assert not page.one("#alert").is_displayed()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_lesson_fits_the_window(page: Any, width: int) -> None:
    page.look(width, 800)
    begun(page)
    page.click("#lesson-step")
    page.until(f"{BATCHES} === 5")
    assert page.js("return document.documentElement.scrollWidth <= innerWidth")


def test_a_server_without_lessons_says_so(visit: Any, serve: Any, runs: dict[str, Path]) -> None:
    server = serve(runs["words"], options=("--no-lessons",))
    page = visit(server.address).open()
    page.until("!document.querySelector('#lesson-off').hidden")
    assert "--lessons" in page.text("#lesson-off")
    assert not page.one("#lesson-body").is_displayed()


def test_a_replay_has_no_lesson(visit: Any, runs: dict[str, Path], tmp_path: Path) -> None:
    kept = tmp_path / "replay.html"
    main(["replay", str(runs["words"]), "-o", str(kept)])
    page = visit("")
    page.driver.get(kept.as_uri())
    page.until("document.querySelector('#train-run')?.checkVisibility({visibilityProperty: true})")
    assert not page.one("#panel-lesson").is_displayed()
