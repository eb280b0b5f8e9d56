"""Unroll: the columns show the server's numbers, play forwards and backwards, and are cut where T says."""

from typing import Any

import pytest

from support.browser_page import Keys

TEXT = "You say goodbye and I say hello. You"
COLUMN = '#unroll-columns .column[data-index="{}"]'
SHOWN = (
    "!document.querySelector('#panel-unroll').hasAttribute('aria-busy')"
    " && document.querySelector('#unroll-result').textContent"
)


@pytest.fixture
def unrolled(page: Any) -> Any:
    """The page with the words of a text unrolled."""
    page.choose("#model", "words")
    page.settled()  # Write has written its sample with this model
    page.write(TEXT)
    page.show("unroll")
    page.until(
        f"document.querySelectorAll('#unroll-columns .column').length === {len(TEXT.split()) + 1} && {SHOWN}"
    )
    return page


@pytest.fixture
def answer(unrolled: Any, server: Any) -> Any:
    """What the server says of it."""
    return server.ask("/unroll", {"model": "words", "text": TEXT})


def reached(page: Any) -> tuple[int, int]:
    """How many columns the forward pass has reached, and how many the backward pass."""
    found = page.js(
        """const on = (part) => document.querySelectorAll(`#unroll-columns .${part}:not(.off)`).length;
        return [on("forward-pass"), on("backward-pass")]"""
    )
    return found[0], found[1]


def move(page: Any, selector: str, value: Any) -> None:
    """Set a slider or a list as a person does."""
    page.js(
        """const field = document.querySelector(arguments[0]); field.value = arguments[1];
        for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, {bubbles: true}))""",
        selector, value,
    )  # fmt: skip


def widths(page: Any, step: int) -> list[float]:
    """The widths of a column's backward arrows: from above, and to the step before, unless they have none."""
    lines = f"""[...document.querySelectorAll('{COLUMN.format(step)} .backward-pass > path.line')]"""
    found: list[float] = page.js(f"return {lines}.map((line) => Number(line.getAttribute('stroke-width')))")
    return found


def scissors(page: Any) -> list[int]:
    """The columns before which the gradient is cut."""
    found: list[int] = page.js(
        """return [...document.querySelectorAll("#unroll-columns .column")]
        .filter((column) => column.querySelector("circle.line.backward"))
        .map((column) => Number(column.dataset.index))"""
    )
    return found


def test_every_column_shows_its_word_and_what_the_server_expects_next(unrolled: Any, answer: Any) -> None:
    for k, step in enumerate(answer["steps"]):
        texts = unrolled.texts(f"{COLUMN.format(k)} .forward-pass > text")
        assert (step["token"].strip() or "⏎") in texts
        best = step["top"][0]
        assert any((best["token"].strip() or "⏎").startswith(text.rstrip("…")) for text in texts)
        assert unrolled.texts(f"{COLUMN.format(k)} .weights-x text") == ["Wx"]
        assert "Wh" in unrolled.texts(f"{COLUMN.format(k)} .weights-h text")
    assert unrolled.text("#unroll-wx") == f"Show Wx ({answer['wordvec']}, {answer['hidden']})"
    assert unrolled.text("#unroll-wh") == f"Show Wh ({answer['hidden']}, {answer['hidden']})"


def test_no_candidate_touches_its_probability(unrolled: Any) -> None:
    gaps = unrolled.js(
        """return [...document.querySelectorAll("#unroll-columns .forward-pass > text[text-anchor=start]")]
        .map((name) => name.nextSibling.getBoundingClientRect().left - name.getBoundingClientRect().right)"""
    )
    assert len(gaps) == 3 * (len(TEXT.split()) + 1)
    assert min(gaps) > 2


def test_a_column_that_is_looked_at_shows_its_numbers_and_shapes(unrolled: Any, answer: Any) -> None:
    unrolled.js("document.querySelector(arguments[0]).focus()", COLUMN.format(3))
    unrolled.until(
        "document.querySelector('#unroll-title').textContent === arguments[0]", "Step 4: reads “goodbye”"
    )
    rows = unrolled.js(
        """return [...document.querySelectorAll("#unroll-numbers tr")].map((row) =>
        [...row.children].map((cell) => cell.textContent.replaceAll("−", "-")))"""
    )
    H, V = answer["hidden"], answer["vocabulary"]
    assert [row[:2] for row in rows[:4]] == [
        ["xt", f"(1, {answer['wordvec']})"], ["ht-1", f"(1, {H})"], ["ht", f"(1, {H})"], ["scores", f"(1, {V})"]
    ]  # fmt: skip
    h = answer["inside"][0]["h"]
    assert [float(value) for value in rows[2][2].split()[:5]] == pytest.approx(h[3][:5], abs=0.0051)
    assert [float(value) for value in rows[1][2].split()[:5]] == pytest.approx(h[2][:5], abs=0.0051)
    assert rows[4] == ["next", "", f"and: {rows[4][2].split()[-1]}"]
    assert rows[5][0] == "‖dht‖"
    unrolled.js(
        "document.querySelector(arguments[0]).dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))",
        COLUMN.format(5),
    )
    unrolled.until("document.querySelector('#unroll-title').textContent.startsWith('Step 6')")


def test_the_steps_go_forward_and_then_backward(unrolled: Any, answer: Any) -> None:
    L = len(answer["steps"])
    assert reached(unrolled) == (L, L)  # all is shown before it is played
    unrolled.click("#unroll-start")
    assert reached(unrolled) == (0, 0)
    for k in range(1, L + 1):
        unrolled.click("#unroll-step")
        assert reached(unrolled) == (k, 0)
        assert unrolled.text("#unroll-title").startswith(f"Step {k}:")
    for k in range(1, L):
        unrolled.click("#unroll-step")
        assert reached(unrolled) == (L, k + 1)  # and the last column, which has no loss
        assert unrolled.text("#unroll-title").startswith(f"Step {L - k}:")
    assert unrolled.one("#unroll-step").get_property("disabled")
    unrolled.click("#unroll-back")
    assert reached(unrolled) == (L, L - 1)


# plays, and pauses in the moment in which the third column is shown; returns what the button said before
PAUSED_AT_3 = """
const done = arguments[0], play = document.querySelector("#unroll-play");
const columns = document.querySelector("#unroll-columns");
new MutationObserver((_, observer) => {
  if (columns.querySelectorAll(".forward-pass:not(.off)").length !== 3) return;
  observer.disconnect();
  const said = play.textContent;
  play.click();
  done(said);
}).observe(columns, {subtree: true, attributeFilter: ["class"]});
play.click();
"""


def test_it_plays_to_the_end_and_pauses(unrolled: Any, answer: Any) -> None:
    L = len(answer["steps"])
    played = unrolled.driver.execute_async_script(PAUSED_AT_3)
    assert played == "Pause"
    assert unrolled.text("#unroll-play") == "Play"
    assert reached(unrolled) == (3, 0)
    unrolled.click("#unroll-play")
    unrolled.until("document.querySelector('#unroll-play').textContent === 'Play'")
    assert reached(unrolled) == (L, L)


def test_the_gradient_is_as_wide_as_its_norm_and_cut_after_every_T_steps(unrolled: Any, answer: Any) -> None:
    losses = len(answer["steps"]) - 1
    (tables,) = answer["gradients"]
    for time in (3, losses):
        move(unrolled, "#unroll-time", time)
        assert scissors(unrolled) == [k for k in range(1, losses) if k % time == 0]
        largest = max(max(row) for row in tables["arriving"][:losses])
        for k in range(losses):
            end = min((k // time + 1) * time, losses) - 1
            wanted = [tables["above"][end][k]]
            if k and k % time:
                wanted.append(tables["flowing"][end][k - 1])
            found = [width for width in widths(unrolled, k) if width != 2]  # without those of the scissors
            assert found == pytest.approx([max(0.8, 10 * norm / largest) for norm in wanted], rel=1e-6)
            assert unrolled.texts(f"{COLUMN.format(k)} > text") == [
                unrolled.js("return elman.significant(arguments[0], 2)", tables["arriving"][end][k])
            ]
        for k in range(1, losses + 1):  # the state passes every border
            assert len(unrolled.all(f"{COLUMN.format(k)} .weights-h path.forward")) == 1
    assert unrolled.text("#unroll-time-told") == "no cut"


def test_the_gradient_of_the_last_loss_alone_ends_at_the_last_cut(unrolled: Any, answer: Any) -> None:
    losses = len(answer["steps"]) - 1
    norms = answer["gradients"][0]["arriving"][losses]
    move(unrolled, "#unroll-loss", "last")
    move(unrolled, "#unroll-time", 3)
    shown = [unrolled.text(f"{COLUMN.format(k)} > text") for k in range(losses)]
    first = (losses - 1) // 3 * 3
    assert [bool(text) for text in shown] == [k >= first for k in range(losses)]
    H, steps = answer["hidden"], losses + 1
    opening = f"One layer, used {steps} times: every step passes h ({H} numbers) on to the next, "
    cut = (
        f"but T = 3 cuts the backward pass into {(losses + 2) // 3} blocks, and the gradient "
        "of the last loss reaches only "
    )
    assert (
        unrolled.text("#unroll-result")
        == f"{opening}{cut}{losses - 1 - first} of the {losses - 1} steps before it."
    )
    move(unrolled, "#unroll-time", losses)
    part = unrolled.js("return elman.app.words.percent(arguments[0])", norms[0] / norms[-1])
    whole = f"and uncut the gradient of the last loss reaches all {losses - 1} steps before it; "
    left = f"at the first one its norm is {part} of that at the last."
    assert unrolled.text("#unroll-result") == opening + whole + left


def test_all_columns_fold_into_one_cell(unrolled: Any) -> None:
    places = "new Set([...document.querySelectorAll('#unroll-columns .column')].map((e) => e.style.transform)).size"
    columns = len(unrolled.all("#unroll-columns .column"))
    assert unrolled.js(f"return {places}") == columns
    unrolled.click("#unroll-fold")
    assert unrolled.js(f"return {places}") == 1
    unrolled.until("getComputedStyle(document.querySelector('#unroll-columns .loop')).opacity === '1'")
    unrolled.click("#unroll-fold")
    assert unrolled.js(f"return {places}") == columns
    for name in ("wx", "wh"):
        unrolled.click(f"#unroll-{name}")
        assert unrolled.one(f"#unroll-{name}").get_attribute("aria-pressed") == "true"
        marked = f".marks-{name} .weights-{name[1]} path.line"
        assert len(unrolled.all(marked)) == columns
        assert (
            unrolled.js("return getComputedStyle(document.querySelector(arguments[0])).strokeWidth", marked)
            == "5px"
        )


@pytest.mark.parametrize("model", ["lstm", "rnn"])
def test_the_cell_is_a_graph_with_the_values_of_a_unit(page: Any, server: Any, model: str) -> None:
    text = "The tide"
    page.choose("#model", model)
    page.settled()
    page.write(text)
    page.show("unroll")
    page.until(f"document.querySelectorAll('#unroll-columns .column').length === 9 && {SHOWN}")
    page.js("document.querySelector(arguments[0]).focus()", COLUMN.format(4))
    move(page, "#unroll-unit", 3)
    found = server.ask("/unroll", {"model": model, "text": text})
    (inside,), (terms,) = found["inside"], found["terms"]
    now, before = ({name: values[t][3] for name, values in inside.items()} for t in (4, 3))
    if model == "lstm":
        wanted = [*now.values(), before["c"], now["f"] * before["c"], now["i"] * now["g"]]
    else:
        wanted = [now["h"], before["h"], terms["x"][4][3], terms["h"][4][3]]
    shown = [text.replace("−", "-") for text in page.texts("#unroll-cell text")]
    numbers = [float(text) for text in shown if text.lstrip("-").replace(".", "").isdecimal() and "." in text]
    assert all(any(abs(number - value) < 0.0051 for number in numbers) for value in wanted)
    assert page.one("#unroll-cell svg").get_attribute("aria-label").endswith("with the values of unit 3")


def test_the_graph_of_every_cell_has_its_values_and_fits(page: Any) -> None:
    from elman.inspection.unroll import unroll
    from support.looked import EVERY_CELL, network

    for cell in EVERY_CELL:
        found = unroll(network(cell), "tom was watching").as_json(network(cell))
        texts, outside = page.js(
            """const [kind, inside, terms, states, carried, at] = arguments;
            const node = document.querySelector("#unroll-cell");
            document.querySelector("#panel-unroll").scrollIntoView();
            for (let parent = node; parent; parent = parent.parentElement) parent.hidden = false;
            elman.drawCell(node, {
              kind, label: "", states, carried, gates: Object.keys(inside).filter((each) => !states.includes(each)),
              number: (value) => value.toFixed(3), before: (name) => inside[name][at - 1][0],
              value: (name) => (inside[name] ?? terms[name])[at][0], units: (name) => inside[name]?.[at],
              term: (name) => terms[name][at][0]});
            const [, , width, height] = node.firstChild.getAttribute("viewBox").split(" ").map(Number);
            const shown = [...node.querySelectorAll("text")];
            return [shown.map((text) => text.textContent), shown.filter((text) => {
              const box = text.getBBox();
              return box.x < 0 || box.y < 0 || box.x + box.width > width || box.y + box.height > height;
            }).map((text) => text.textContent)]""",
            cell, found["inside"][0], found["terms"][0], list(found["before"][0]), found["carried"][0], 2,
        )  # fmt: skip
        assert not outside
        inside = {name: [step[0] for step in values] for name, values in found["inside"][0].items()}
        state = "c" if "c" in inside else "h"
        assert {"ht", *(f"{values[2]:.3f}" for values in inside.values())} <= set(texts)
        if state in found["carried"][0]:
            assert {f"{inside[state][1]:.3f}", f"{state}t−1"} <= set(texts)


def test_keys_alone_are_enough(unrolled: Any, answer: Any) -> None:
    L = len(answer["steps"])
    unrolled.js("document.querySelector('#unroll-start').focus()")
    unrolled.press(Keys.ENTER, Keys.TAB)  # the step back is disabled at the start
    unrolled.until("document.activeElement.id === 'unroll-play'")
    unrolled.press(Keys.TAB, Keys.SPACE, Keys.SPACE)
    assert reached(unrolled) == (2, 0)
    for _ in range(4):
        unrolled.press(Keys.TAB)
    assert unrolled.js("return document.activeElement.id") == "unroll-time"
    unrolled.press(Keys.HOME, Keys.ARROW_RIGHT)
    assert unrolled.text("#unroll-time-told") == "2"
    assert scissors(unrolled) == list(range(2, L - 1, 2))
    unrolled.press(Keys.TAB, Keys.TAB)
    assert unrolled.js("return document.activeElement.dataset.index") == "1"  # the current column
    unrolled.press(Keys.END)
    assert unrolled.text("#unroll-title").startswith(f"Step {L}:")
    unrolled.press(Keys.ARROW_LEFT)
    assert unrolled.text("#unroll-title").startswith(f"Step {L - 1}:")
    focus = unrolled.driver.switch_to.active_element
    assert focus.get_attribute("aria-selected") == "true"
    best = answer["steps"][L - 2]["top"][0]
    assert f"expects “{best['token'].strip() or '⏎'}”" in focus.get_attribute("aria-label")
    unrolled.press(Keys.ENTER)
    assert unrolled.get("cursor") == L - 3  # of the tokens, of which the first column is none


def test_without_motion_a_pass_is_shown_at_once(unrolled: Any, answer: Any) -> None:
    L = len(answer["steps"])
    features = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    unrolled.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    unrolled.until("matchMedia('(prefers-reduced-motion: reduce)').matches")
    unrolled.click("#unroll-play")
    assert reached(unrolled) == (L, 0)
    assert unrolled.text("#unroll-play") == "Play"
    unrolled.click("#unroll-play")
    assert reached(unrolled) == (L, L)
    unrolled.click("#unroll-fold")
    assert unrolled.js(
        """return [...document.querySelectorAll("#unroll-columns *")]
        .every((element) => getComputedStyle(element).transitionDuration === "0s")"""
    )


def test_the_cursor_of_the_page_chooses_the_column(unrolled: Any) -> None:
    unrolled.js("elman.app.store.set('cursor', 2)")
    assert unrolled.text("#unroll-title") == "Step 4: reads “goodbye”"


def test_the_panel_is_korean_too(unrolled: Any) -> None:
    unrolled.click("#language-ko")
    unrolled.until(
        "document.querySelector('#unroll-title').textContent === arguments[0]", "시각 9: “You” 입력"
    )
    assert unrolled.text("#unroll-result").startswith("한 계층을 9번 되풀이해 쓰면서 상태 h(수 12개)를")
    assert unrolled.text("#unroll-play") == "재생"


IN_VIEW = """((at, room) => at.left >= room.left - 1 && at.right <= room.right + 1)(
  document.querySelector(arguments[0]).getBoundingClientRect(),
  document.querySelector("#unroll-columns").getBoundingClientRect())"""


@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_the_window(unrolled: Any, width: int) -> None:
    unrolled.look(width, 900)
    unrolled.until("innerWidth === arguments[0]", width)
    assert unrolled.js("return document.documentElement.scrollWidth <= innerWidth")
    unrolled.js("document.querySelector(arguments[0]).focus()", COLUMN.format(8))
    unrolled.until(IN_VIEW, COLUMN.format(8))  # when its observer has seen the new width


def test_a_text_of_one_token_and_an_empty_one_say_so(unrolled: Any) -> None:
    unrolled.type(Keys.SPACE)
    unrolled.show("unroll")
    unrolled.until("!document.querySelector('#unroll-none').hidden")
    assert unrolled.text("#unroll-none") == "Write a text below to see the network read it."
    unrolled.write("You")
    unrolled.show("unroll")
    unrolled.until("document.querySelectorAll('#unroll-columns .column').length === 2")
    unrolled.until("!document.querySelector('#unroll-body').hidden")
    assert "write more tokens" in unrolled.text("#unroll-result")


def test_of_a_long_text_the_last_steps_are_shown(unrolled: Any) -> None:
    unrolled.write(" ".join(["You say goodbye and I say hello."] * 6))
    unrolled.show("unroll")
    unrolled.until("document.querySelectorAll('#unroll-columns .column').length === 32")
    assert unrolled.text("#unroll-more") == "The text is long: its last 32 of 43 steps are shown."
    assert unrolled.text("#unroll-title") == "Step 43: reads “hello.”"
    unrolled.js("elman.app.store.set('cursor', 0)")  # before the first column
    assert unrolled.text("#unroll-title") == "Step 43: reads “hello.”"


def test_a_recording_has_the_panel_too(visit: Any, runs: Any, tmp_path: Any) -> None:
    from elman.recording.replay import replay

    path = replay(runs["words"], tmp_path / "page.html", text=TEXT)
    page = visit("")
    page.driver.get(path.as_uri())
    page.until(f"window.elman?.app?.store.get('ready') && {SHOWN}")
    page.until("document.querySelectorAll('#unroll-columns .column').length === 9")
    page.settled()
    page.click("#language-en")  # files share what they remember
    page.js("document.querySelector(arguments[0]).focus()", COLUMN.format(3))
    assert page.text("#unroll-title") == "Step 4: reads “goodbye”"
    assert page.text("#unroll-result").startswith("One layer, used 9 times: ")
