"""Train: the numbers of a run that is followed while it trains; a run saved as one page."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from elman.cli import main
from support.browser_page import Keys

TEXTS = ('"Meet me when the mud shows," he said.', "The river meets the sea.")


def number(text: str) -> float:
    return float(text.replace(",", ""))


def shown(page: Any, name: str) -> float:
    return number(page.text(f"#train-{name}"))


def test_a_watched_run_is_shown_and_followed(
    page: Any, runs: dict[str, Path], lines_of: Callable[[Path], list[dict[str, Any]]]
) -> None:
    page.show("train")
    page.until("document.querySelectorAll('#train-loss canvas').length === 1")
    lines = lines_of(runs["growing"])
    last = next(line for line in reversed(lines) if line["kind"] in ("interval", "epoch"))
    assert page.js("return document.querySelector('#train-run').value") == "growing"
    page.until(
        "document.querySelector('#train-iteration').textContent === arguments[0]", str(last["iteration"])
    )
    assert page.text("#train-where") == "Latest values"
    more = {**last, "kind": "interval", "iteration": 9876, "perplexity": 3.25, "grad_norm": 0.5, "lr": 0.001}
    sample = {"kind": "sample", "iteration": 9876, "text": "<b>the sea</b>", "smooth_loss": 1.0}
    with (runs["growing"] / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in (more, sample))
    page.until("document.querySelector('#train-iteration').textContent === '9,876'")
    assert (shown(page, "perplexity"), shown(page, "norm"), shown(page, "lr")) == (3.25, 0.5, 0.001)
    assert page.text("#train-sample") == "<b>the sea</b>"
    page.one("#train-plot").send_keys(Keys.HOME)
    page.until("document.querySelector('#train-where').textContent === 'Values at the cursor'")
    assert shown(page, "iteration") == next(line["iteration"] for line in lines if line.get("iteration"))
    assert "Iteration" in page.one("#train-plot").get_attribute("aria-valuetext")
    page.press(Keys.ESCAPE)
    page.until("document.querySelector('#train-where').textContent === 'Latest values'")
    page.choose("#train-quantity", "bits")


def test_a_run_and_its_model_go_together(page: Any) -> None:
    page.show("train")
    page.until("document.querySelector('#train-run').value === 'growing'")
    page.until("!document.querySelector('#train-apart').hidden")
    assert page.text("#train-apart").endswith("the other panels show the model lstm.")
    page.choose("#model", "rnn")
    page.until("document.querySelector('#train-run').value === 'rnn'")
    assert not page.one("#train-apart").is_displayed()
    page.choose("#train-run", "words")
    page.until("elman.app.store.get('model') === 'words'")
    assert page.js("return document.querySelector('#model').value") == "words"
    page.choose("#train-run", "growing")
    assert page.get("model") == "words"


def test_a_replay_opens_from_a_file_with_the_network_off(
    visit: Any, runs: dict[str, Path], tmp_path: Path
) -> None:
    kept = tmp_path / "replay.html"
    texts = [part for text in TEXTS for part in ("--text", text)]
    main(["replay", str(runs["lstm"]), "--compare", str(runs["rnn"]), "-o", str(kept), *texts])
    page = visit("")
    page.driver.execute_cdp_cmd("Network.enable", {})
    offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", offline)
    try:
        page.driver.get(kept.as_uri())
        page.until("window.elman?.app?.store?.get('scored')?.text === arguments[0]", TEXTS[0])
        assert page.js("return document.documentElement.classList.contains('recorded')")
        assert "".join(page.texts("#write-tokens .token")) == TEXTS[0]
        for panel, alive in ALIVE.items():
            page.show(panel)
            page.until(alive)
        page.choose("#inside-property", "inside_quotes")
        page.until("document.querySelectorAll('#inside-found button').length === 10")
        page.show("write")
        page.choose("#replay-text", "1")
        page.until("elman.app.store.get('scored')?.text === arguments[0]", TEXTS[1])
        page.click('#write-tokens .token[data-index="4"]')
        page.until("document.querySelector('#next-note').textContent.includes('the text has “r”')")
        page.click("#language-ko")
        page.until("document.documentElement.lang === 'ko'")
        assert page.js("return performance.getEntriesByType('resource').map((each) => each.name)") == []
        assert not page.one("#away").is_displayed()
    finally:
        online = {**offline, "offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
        page.driver.execute_cdp_cmd("Network.emulateNetworkConditions", online)


ALIVE = {
    "train": "document.querySelector('#train-loss canvas') && document.querySelector('#train-lr').textContent > 0",
    "write": "document.querySelector('#write-summary').textContent.includes('perplexity')",
    "next": "document.querySelector('#next-bar-0 .bar-value').textContent.includes('%')",
    "inside": "document.querySelector('#inside-map canvas').width > 300",
    "time": "document.querySelectorAll('#time-list-other .time-of').length > 20",
    "compare": "document.querySelectorAll('#compare-pairs li').length > 2",
}
