"""Inside: a unit colours the text, and units are found by a property and by a selected passage."""

from typing import Any

import pytest

from support.browser_page import ActionChains, Keys

TEXT = 'He said, "I come at noon," and went. "You may," she said.'


@pytest.fixture
def inside(page: Any) -> Any:
    """The page with a text whose hidden units are shown."""
    page.write(TEXT)
    page.show("inside")
    page.until("document.querySelectorAll('#inside-text .token').length === arguments[0]", len(TEXT))
    page.until("document.querySelector('#inside-map canvas').width > 300")
    assert page.js("return document.querySelector('#inside-property').value")  # the page has found a unit
    return page


def values(server: Any, **asked: Any) -> list[list[float]]:
    found: list[list[float]] = server.ask("/inside", {"model": "lstm", "text": TEXT, **asked})["values"]
    return found


def ranked(server: Any, what: str = "h") -> list[int]:
    """The units in the order of the map: by their correlation with the property that one of them follows best."""
    asked = {"model": "lstm", "text": TEXT, "what": what, "top": 32}
    return [each["unit"] for each in server.ask("/units", asked)["units"]]


def readout(page: Any) -> str:
    """What is told of the unit and the token, with the hyphen that Python writes for a minus."""
    return str(page.text("#inside-readout")).replace("−", "-")


def coloured_by(page: Any, column: list[float]) -> None:
    """The text is coloured by these values, and the labels tell them."""
    limit = "Number(document.querySelector('#inside-legend .legend-labels span:last-child').textContent)"
    same = f"""arguments[0].every((value, k) => {{
      const token = document.querySelector(`#inside-text .token[data-index="${{k}}"]`);
      const probe = document.createElement("i");
      probe.style.backgroundColor = String(elman.colour.diverging(value, {limit}));
      return token.style.backgroundColor === probe.style.backgroundColor
        && token.getAttribute("aria-label").endsWith(`: ${{elman.app.words.number(value, 2)}}`);
    }})"""
    page.until(same, column)


def test_it_opens_on_the_unit_that_follows_a_property_best(inside: Any, server: Any) -> None:
    found = server.ask("/units", {"model": "lstm", "text": TEXT, "top": 1})
    (best,) = found["units"]
    assert inside.one("#inside-property").get_property("value") == found["property"]
    assert inside.text("#inside-picked-title") == f"The text coloured by unit {best['unit']}"
    said = f"In this text, unit {best['unit']} goes best with "
    assert inside.text("#inside-story").startswith(said)
    assert f"r = {best['correlation']:.2f}." in inside.text("#inside-story").replace("−", "-")
    coloured_by(inside, [row[best["unit"]] for row in values(server)])


def test_a_click_on_the_map_picks_a_unit_that_colours_the_text(inside: Any, server: Any) -> None:
    right, unit = values(server), ranked(server)[5]
    inside.js("document.querySelector('#inside-map').scrollTo(0, 0)")
    # the middle of the window: the click must not scroll the page, or it lands beside the map
    inside.js("document.querySelector('#inside-map').scrollIntoView({ block: 'center' })")
    inside.idle()
    at = inside.js(
        """const map = document.querySelector("#inside-map"), [left, wide, top] = [44, 18, 26];
        const box = map.getBoundingClientRect();
        return [left + 3.5 * wide - box.width / 2, top + 5.5 * 12 - box.height / 2]"""
    )
    canvas = inside.one("#inside-map")
    ActionChains(inside.driver).move_to_element_with_offset(canvas, *map(round, at)).click().perform()
    inside.until(
        "document.querySelector('#inside-picked-title').textContent === arguments[0]",
        f"The text coloured by unit {unit}",
    )
    coloured_by(inside, [row[unit] for row in right])
    inside.idle()
    cursor = inside.get("cursor")
    assert 2 <= cursor <= 4
    assert readout(inside).endswith(f"{right[cursor][unit]:.3f}".replace("-0.000", "0.000"))
    assert len(inside.all("#inside-curve polyline")) == 1


def test_the_map_is_moved_over_by_keys(inside: Any, server: Any) -> None:
    right, unit = values(server), ranked(server)[7]
    inside.one("#inside-map").send_keys(*[Keys.ARROW_RIGHT] * 5, *[Keys.ARROW_DOWN] * 7)
    inside.until(
        "document.querySelector('#inside-readout').textContent.startsWith(arguments[0])", f"Unit {unit},"
    )
    assert inside.get("cursor") == 5
    assert f"{right[5][unit]:.3f}" in readout(inside)
    inside.press(Keys.ENTER)
    coloured_by(inside, [row[unit] for row in right])


def test_a_property_that_never_changes_is_said_in_the_reader_s_language(inside: Any) -> None:
    inside.expected += ("400",)
    inside.click("#language-ko")
    inside.choose("#inside-property", "inside_brackets")
    inside.until(
        "document.querySelector('#inside-said').textContent.startsWith('이 글의 모든 토큰에서 값이 같아서')"
    )


def test_units_are_found_by_a_property_and_one_of_them_picked(inside: Any, server: Any) -> None:
    inside.choose("#inside-property", "inside_quotes")
    asked = {"model": "lstm", "text": TEXT, "property": "inside_quotes", "top": 10}
    found = server.ask("/units", asked)["units"]
    names = [f"Unit {each['unit']}: r = {each['correlation']:.2f}" for each in found]
    inside.show("inside")
    assert [name.replace("−", "-") for name in inside.texts("#inside-found button")] == names
    inside.click("#inside-found button")
    coloured_by(inside, [row[found[0]["unit"]] for row in values(server)])
    assert inside.one("#inside-found button").get_attribute("aria-pressed") == "true"
    inside.choose("#inside-order", "found")
    inside.until(
        "document.querySelector('#inside-picked-title').textContent.endsWith(arguments[0])",
        f" {found[0]['unit']}",
    )
    inside.choose("#inside-property", "digit")
    inside.until("document.querySelector('#inside-said').textContent.length > 10")  # there is no digit
    assert inside.all("#inside-found button") == []
    inside.expected += ("/units",)


def test_units_are_found_by_a_passage_that_was_selected_by_keys(inside: Any, server: Any) -> None:
    inside.click('#inside-text .token[data-index="9"]')
    keys = ActionChains(inside.driver, duration=0).key_down(Keys.SHIFT)
    for _ in range(6):
        keys.send_keys(Keys.ARROW_RIGHT)
    keys.key_up(Keys.SHIFT).perform()
    inside.until("JSON.stringify(elman.app.store.get('span')) === '[9,16]'")
    assert len(inside.all("#inside-text .marked")) == 7
    (best, *_) = server.ask("/units", {"model": "lstm", "text": TEXT, "span": [9, 16]})["units"]
    first = "document.querySelector('#inside-found button')?.textContent.startsWith(arguments[0])"
    inside.until(first, f"Unit {best['unit']}: ")
    inside.press(Keys.ESCAPE)
    inside.until("elman.app.store.get('span') === null")
    assert inside.all("#inside-text .marked") == []


def test_a_passage_is_selected_by_dragging(inside: Any) -> None:
    inside.js("document.querySelector('#inside-text').scrollIntoView({block: 'center'})")
    inside.idle()
    one, other = (inside.one(f'#inside-text .token[data-index="{index}"]') for index in (3, 12))
    ActionChains(inside.driver).click_and_hold(one).move_to_element(other).release().perform()
    inside.until("JSON.stringify(elman.app.store.get('span')) === '[3,13]'")


def test_a_passage_is_selected_by_touching_its_ends(inside: Any) -> None:
    for index, span in ((9, "null"), (4, "[4,10]"), (20, "null"), (22, "[20,23]")):
        inside.js(
            """const token = document.querySelector(`#inside-text .token[data-index="${arguments[0]}"]`);
            token.dispatchEvent(new PointerEvent("click", {bubbles: true, pointerType: "touch"}))""",
            index,
        )
        inside.until("JSON.stringify(elman.app.store.get('span')) === arguments[0]", span)


def test_gates_are_shown_too(inside: Any, server: Any) -> None:
    inside.choose("#inside-what", "f")
    best = ranked(server, "f")[0]
    coloured_by(inside, [row[best] for row in values(server, what="f")])
    assert inside.texts("#inside-what option") == [
        "h: hidden state", "c: cell state", "i: input gate", "f: forget gate", "g: candidate", "o: output gate"
    ]  # fmt: skip
