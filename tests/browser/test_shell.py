"""The page as a whole: languages, keys, widths, a server that stops answering, and one that needs a key."""

from pathlib import Path
from typing import Any

import pytest

from support.browser_page import By, Keys

HANGUL = "[...arguments[0]].some((letter) => letter >= '가' && letter <= '힣')"
SEEN = "(e) => e.checkVisibility({visibilityProperty: true, opacityProperty: true})"
PANELS = ("unroll", "train", "lesson", "write", "next", "time", "inside", "compare")
STOPS = "a[href], button, input, select, textarea, summary, [tabindex='0']"


def test_the_language_is_switched_and_remembered(page: Any) -> None:
    for panel in PANELS:
        page.show(panel)
    english = page.texts("[data-t]")
    page.click("#language-ko")
    page.until("document.documentElement.lang === 'ko'")
    korean = page.texts("[data-t]")
    assert all(text.strip() for text in korean)
    same = {a for a, b in zip(english, korean, strict=True) if a == b}
    assert same <= {"", "Top-k", "Top-p"}
    labels = page.js("return [...document.querySelectorAll('[data-t-label]')].map((e) => e.ariaLabel)")
    assert page.js(f"return arguments[0].every((text) => ((...arguments) => {HANGUL})(text))", labels)
    assert page.js(f"return ((...arguments) => {HANGUL})(document.title)")
    page.driver.refresh()
    page.until("window.elman?.app?.store.get('ready')")
    page.settled()
    assert page.js("return document.documentElement.lang") == "ko"
    assert page.one("#language-ko").get_attribute("aria-pressed") == "true"
    page.click("#language-en")
    page.until("document.querySelector('#write-generate').textContent === 'Generate'")


def test_a_server_that_stops_answering_is_reported_until_it_is_back(
    visit: Any, serve: Any, runs: dict[str, Path]
) -> None:
    server = serve(runs["lstm"])
    page = visit(server.address).open()
    page.expected += ("net::ERR_",)
    page.write("The tide")
    away = page.one("#away")
    assert not away.is_displayed()
    server.kill()
    page.one("#write-text").send_keys(" turns")
    page.until("!document.querySelector('#away').hidden")
    assert away.text.startswith("The server does not answer.")
    assert page.get("connected") is False
    server.start()
    page.until("document.querySelector('#away').hidden")
    page.until("elman.app.store.get('scored')?.text === 'The tide turns'")
    assert page.text("#status") == "The server is back."
    assert page.one("#write-text").get_property("value") == "The tide turns"
    assert "".join(page.texts("#write-tokens .token")) == "The tide turns"
    server.kill()


def test_a_server_that_dies_while_it_writes_is_reported_too(visit: Any, serve: Any, slow: Path) -> None:
    server = serve(slow)
    page = visit(server.address).open()
    page.expected += ("net::ERR_",)
    page.write("you ")
    page.type("4000", "#write-max")
    page.click("#write-generate")
    page.until("document.querySelectorAll('#write-tokens .token').length > 10")
    server.kill()
    page.until("!document.querySelector('#away').hidden")
    page.until("!document.querySelector('#write-generate').disabled")
    assert len(page.get("text")) > 10
    server.start()
    page.until("document.querySelector('#away').hidden")
    page.until("elman.app.store.get('scored')?.text === elman.app.store.get('text')")
    server.kill()


def test_the_key_is_asked_for_and_works(visit: Any, serve: Any, runs: dict[str, Path]) -> None:
    server = serve(runs["lstm"], key="open sesame")
    page = visit(server.address)
    page.expected += ("401",)
    page.open(ready="!document.querySelector('#key-form').hidden")
    assert page.js("return document.activeElement.id") == "key"
    assert "--api-key" in page.text("#key-hint")
    page.press("wrong", Keys.ENTER)
    page.until(
        "document.querySelector('#key-hint').textContent.startsWith('The server does not accept this key')"
    )
    page.until("!document.querySelector('#key-form').hidden")
    page.press("open sesame", Keys.ENTER)
    page.until("elman.app.store.get('model') === 'lstm'")
    page.settled()
    assert not page.one("#key-form").is_displayed()
    assert len(page.get("text")) > 10
    assert page.js("return Object.values(localStorage).join().includes('sesame')") is False
    page.driver.refresh()
    page.until("window.elman?.app?.store.get('model') === 'lstm'")


def test_every_control_is_reached_by_tab_and_seen_where_it_is(page: Any) -> None:
    page.write("The tide turns.")
    for panel in PANELS:
        page.show(panel)
    assert len(page.all("#inside-text .token")) == 15
    assert len(page.all("#time-list-other .time-of")) > 10
    assert len(page.all("#unroll-columns .column")) == 16
    page.js("document.activeElement.blur(); scrollTo(0, 0)")
    wanted = page.js(
        f"""window.stops = [...document.querySelectorAll("{STOPS}")].filter((e) =>
        e.tabIndex >= 0 && !e.disabled && ({SEEN})(e)); return stops.length"""
    )
    reached: list[int] = []
    for _ in range(wanted + 5):
        page.press(Keys.TAB)
        place, outline, ringed = page.js(
            """const at = document.activeElement, style = getComputedStyle(at);
            return [stops.indexOf(at), style.outlineStyle, at.matches(":focus-visible")
              && parseFloat(style.outlineWidth) >= 2 && style.outlineColor !== "rgba(0, 0, 0, 0)"]"""
        )
        if place == -1 or place in reached:
            continue
        reached.append(place)
        assert ringed, page.js("return document.activeElement.outerHTML")
        assert outline != "none"
    missed = [place for place in range(wanted) if place not in reached]
    assert not missed, page.js("return arguments[0].map((k) => stops[k].outerHTML)", missed)
    first = reached.index(0)
    assert reached[first:] + reached[:first] == sorted(reached)  # in the order of the page


@pytest.mark.parametrize(("width", "sticks"), [(390, True), (1280, False)])
def test_the_names_of_the_panels_stay_in_sight_on_a_phone(page: Any, width: int, sticks: bool) -> None:
    page.look(width, 800)
    links = page.js("return [...document.querySelectorAll('nav a')].map((a) => a.hash.slice(1))")
    assert links == page.js("return [...document.querySelectorAll('main > section')].map((e) => e.id)")
    for panel in links:
        page.show(panel.removeprefix("panel-"))
        bottom, title = page.js(
            """const box = (selector) => document.querySelector(selector).getBoundingClientRect();
            document.getElementById(arguments[0]).scrollIntoView();
            return [box("nav").bottom, box(`#${arguments[0]} h2`).top]""",
            panel,
        )
        assert (0 < bottom <= title) if sticks else bottom < 0
        if sticks:
            page.until(f"document.querySelector('nav a[aria-current]')?.hash === '#{panel}'")
            left, right = page.js(
                """const box = document.querySelector("nav a[aria-current]").getBoundingClientRect();
                return [box.left, box.right]"""
            )
            assert 0 <= left < right <= width


def test_the_cursor_goes_through_the_text_by_keys_and_is_one_for_all_panels(page: Any) -> None:
    page.write("The tide turns.")
    page.one('#write-tokens .token[tabindex="0"]').send_keys(Keys.HOME)
    page.until("elman.app.store.get('cursor') === 0")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    page.until("elman.app.store.get('cursor') === 2")
    focus = page.driver.switch_to.active_element
    assert focus.get_attribute("aria-selected") == "true"
    assert focus.text == "e"
    for panel in ("inside", "time"):
        page.show(panel)
        chosen = f"document.querySelector('#{panel}-text .token[aria-selected=\"true\"]')?.dataset.index"
        page.until(f"{chosen} === '2'")
    page.js("document.querySelector('#write-tokens').scrollIntoView()")
    page.press(Keys.END)
    page.until("elman.app.store.get('cursor') === 14")
    page.press(Keys.ESCAPE)
    page.until("elman.app.store.get('cursor') === null")


@pytest.mark.parametrize(("width", "language"), [(360, "en"), (390, "ko"), (768, "en"), (1280, "ko")])
def test_nothing_sticks_out_of_the_window(page: Any, width: int, language: str) -> None:
    page.look(width, 800)
    page.click(f"#language-{language}")
    page.write("The tide turns, and nobody is ever more than a few minutes late. " + "w" * 90)
    for panel in PANELS:
        page.show(panel)
    assert len(page.all("#time-list-one .time-of")) > 90
    assert len(page.all("#compare-pairs li")) > 5
    assert page.js("return [document.documentElement.scrollWidth <= innerWidth, innerWidth]") == [True, width]
    out = page.js(
        """const cuts = (e) => /auto|scroll|clip|hidden/.test(getComputedStyle(e).overflowX);
        const scrolls = (e) => e && (cuts(e) || scrolls(e.parentElement));
        return [...document.querySelectorAll("body *")].filter((e) => {
          const box = e.getBoundingClientRect();
          return box.width > 0 && e.checkVisibility() && (box.right > innerWidth + 1 || box.left < -1)
            && !scrolls(e.parentElement) && !e.closest(".visually-hidden, .skip");
        }).map((e) => e.outerHTML.slice(0, 200))"""
    )
    assert out == []
    small = page.js(
        """return [...document.querySelectorAll("button, select, input:not([type=range]), summary")]
        .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 24).map((e) => e.outerHTML)"""
    )
    assert small == []  # targets that a finger hits, WCAG 2.5.8
    assert page.driver.find_element(By.TAG_NAME, "main").is_displayed()
