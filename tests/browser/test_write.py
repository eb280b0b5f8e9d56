"""Write: typed text is coloured and scored, generated text streams in, markup stays text."""

import math
from typing import Any

from support.browser_page import ActionChains, By, Keys
from support.waiting import wait_until

TEXT = "The mud shows the river."
TRICKS = ("<script>alert(1)</script>", "<img src=x onerror=alert(2)>", '"><b id=injected>&lt;i&gt; {token}')


def token(page: Any, index: int, view: str = "write-tokens") -> Any:
    return page.one(f'#{view} .token[data-index="{index}"]')


def test_what_is_typed_is_coloured_by_its_surprisal(page: Any, server: Any) -> None:
    page.write(TEXT)
    (right,) = server.ask("/score", {"model": "lstm", "text": TEXT, "top": 6, "eos": False})["results"]
    shown = page.texts("#write-tokens .token")
    assert "".join(shown) == TEXT
    colours = page.js(
        "return [...document.querySelectorAll('#write-tokens .token')].map((t) => t.style.backgroundColor)"
    )
    wanted = page.js(
        "return arguments[0].map((bits) => String(elman.colour.surprisal(bits)))",
        [each["surprisal_bits"] for each in right["tokens"]],
    )
    assert [tuple(colour.replace(",", "").split()) for colour in colours] == [
        tuple(each.split()) for each in wanted
    ]
    assert len(set(colours)) > len(TEXT) // 2
    assert f"{right['perplexity']:.2f}" in page.text("#write-summary")
    bits = sum(each["surprisal_bits"] for each in right["tokens"]) / len(TEXT)
    assert f"{bits:.2f}" in page.text("#write-summary")


def test_the_tooltip_of_a_token_has_its_rank_and_the_most_expected_tokens(page: Any, server: Any) -> None:
    page.write(TEXT)
    (right,) = server.ask("/score", {"model": "lstm", "text": TEXT, "top": 6, "eos": False})["results"]
    there = token(page, 5)
    page.js("arguments[0].scrollIntoView({block: 'center'})", there)
    page.idle()  # nothing moves the token away from the pointer
    ActionChains(page.driver).move_to_element(there).perform()
    page.until("document.querySelector('#tip') && !document.querySelector('#tip').hidden")
    facts = page.texts("#tip dd")
    about = right["tokens"][5]
    assert facts[1:] == [f"{about['surprisal_bits']:.2f} bits", str(about["rank"])]
    tops = page.texts("#tip .tip-top li span:first-child")
    drawn = {" ": "␣", "\n": "⏎"}
    assert tops == [drawn.get(each["token"], each["token"]) for each in about["top"]]
    ActionChains(page.driver).move_to_element(page.one("#title-write")).perform()
    page.until("document.querySelector('#tip').hidden")


def test_generate_streams_and_stop_stops(visit: Any, serve: Any, slow: Any) -> None:
    server = serve(slow)
    page = visit(server.address).open()
    page.write("you ")
    page.type("4000", "#write-max")
    page.click("#write-generate")
    page.until("document.querySelectorAll('#write-tokens .token').length > 14")
    health = server.ask("/health")
    assert health["sequences_busy"] + health["sequences_waiting"] == 1
    assert (
        page.js("return document.activeElement.id") == "write-stop"
    )  # the focus is not lost with the button
    assert page.one("#write-text").get_property("readOnly")
    page.click("#write-stop")
    page.settled()
    written = page.get("text")
    assert written.startswith("you ")
    assert 14 < len(written) < 4000
    wait_until(lambda: not server.ask("/health")["sequences_busy"], "the sequence is free again")
    assert page.text("#status") == "The model has stopped writing."
    assert page.one("#write-text").get_property("value") == written
    assert not page.one("#write-text").get_property("readOnly")
    assert page.js("return document.activeElement.id") == "write-generate"


def test_the_same_seed_writes_the_same_and_undo_takes_it_back(page: Any, server: Any) -> None:
    page.write("The town ")
    page.type("30", "#write-max")
    page.type("7", "#write-seed")
    fields = {"temperature": 0.8, "max_tokens": 30, "seed": 7}
    answer = server.ask("/v1/completions", {"model": "lstm", "prompt": "The town ", **fields})
    right = "The town " + answer["choices"][0]["text"]
    for _ in range(2):
        page.one("#write-text").send_keys(Keys.CONTROL, Keys.ENTER)
        page.until("elman.app.store.get('scored')?.text === arguments[0]", right)
        assert "".join(page.texts("#write-tokens .token")).replace("⏎\n", "\n") == right
        page.click("#write-undo")
        page.until("elman.app.store.get('scored')?.text === 'The town '")
    page.click("#write-clear")
    page.until("document.querySelector('#write-text').value === ''")
    page.settled()
    assert page.text("#write-summary") == "There is no text yet."


def test_the_streamed_surprisals_are_those_of_the_whole(page: Any) -> None:
    streamed = page.driver.execute_async_script(
        """const done = arguments[0], found = [];
        elman.app.source.generate("The sea ", {max_tokens: 40, seed: 3},
          (text, {tokens}) => found.push(...tokens)).then(() => done(found));"""
    )
    assert len(streamed) == 40
    page.write("The sea " + "".join(each["token"] for each in streamed))
    whole = page.get("scored")["tokens"][len("The sea ") :]
    for drawn, read in zip(streamed, whole, strict=True):
        assert math.isclose(drawn["surprisal_bits"], read["surprisal_bits"], abs_tol=1e-3)


def test_markup_that_is_typed_stays_text(page: Any) -> None:
    made = page.js("return document.querySelectorAll('script, img, b').length")
    page.choose("#model", "words")
    page.settled()
    for text in TRICKS:
        page.write(text)
        page.type(text, "#compare-a")
        page.until("[...document.querySelectorAll('#compare-pairs .half')].length > 0")
        for panel in ("next", "inside", "time", "compare"):
            page.show(panel)
        page.click('#write-tokens .token[data-index="0"]')
        page.until("elman.app.store.get('cursor') === 0")
        assert "".join(page.texts("#write-tokens .token")) == "".join(text.split())
        page.until("document.querySelector('#compare-verdict').textContent.length > 20")
        assert page.all("#injected, img, main script") == []
    assert page.js("return document.querySelectorAll('script').length") < made + 1


def test_korean_is_typed_and_composed(page: Any) -> None:
    page.type("바다")
    page.until("elman.app.store.get('scored')?.text === '바다'")
    assert page.texts("#write-tokens .token") == ["바", "다"]
    assert page.js("return document.querySelectorAll('#write-tokens .unknown').length") == 2
    page.one("#write-text").send_keys(Keys.END, " ")
    for part in ("ㅎ", "하", "한"):  # as an input method does: the syllable grows while it is composed
        compose = {"text": part, "selectionStart": 1, "selectionEnd": 1}
        page.driver.execute_cdp_cmd("Input.imeSetComposition", compose)
        page.until("elman.app.store.get('scored')?.text === arguments[0]", f"바다 {part}")
        assert page.one("#write-text").get_property("value") == f"바다 {part}"
    page.driver.execute_cdp_cmd("Input.insertText", {"text": "한"})
    page.one("#write-text").send_keys("글")
    page.until("elman.app.store.get('scored')?.text === '바다 한글'")
    assert page.one("#write-text").get_property("value") == "바다 한글"
    assert page.driver.switch_to.active_element == page.driver.find_element(By.ID, "write-text")
