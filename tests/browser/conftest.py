"""Two character models that differ in their cell, one of words, a server of them, and a browser at its page."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elman.cli import main

CHARACTERS = [
    "--level",
    "char",
    "--hidden",
    "32",
    "--wordvec",
    "12",
    "--max-tokens",
    "8000",
    "--report-every",
    "5",
]


def train(folder: Path, *options: str) -> Path:
    """Train a model in a moment."""
    main(["train", "-q", "-o", str(folder), *options])
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of three runs by their names, and of one that is watched only."""
    folder = tmp_path_factory.mktemp("runs")
    lstm = train(
        folder / "lstm", "prose-en", "--cell", "lstm", "--epochs", "6", "--sample-every", "20", *CHARACTERS
    )
    rnn = train(folder / "rnn", "prose-en", "--cell", "rnn", "--epochs", "6", *CHARACTERS)
    words = train(
        folder / "words", "hello", "--hidden", "12", "--wordvec", "8", "--batch-size", "4", "--epochs", "20"
    )
    growing = folder / "growing"
    shutil.copytree(lstm, growing)
    lines = (lstm / "metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (growing / "metrics.jsonl").write_text("".join(lines[:8]), encoding="utf-8")
    return {"lstm": lstm, "rnn": rnn, "words": words, "growing": growing}


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models of the words of a greeting in English and one of those in Korean, hardly trained."""
    from elman.inspection.examples import GREETINGS

    folder = tmp_path_factory.mktemp("rooms")
    english, _, korean = (text for text, _, _ in GREETINGS)
    for name, text in (("en", english), ("ko", korean)):
        (folder / f"{name}.txt").write_text(f"{text}\n" * 20, encoding="utf-8")
    size = ("--hidden", "8", "--wordvec", "8", "--epochs", "1", "--batch-size", "4")
    cells = {"gru": ("en", "gru"), "rnn": ("en", "rnn"), "ko": ("ko", "gru")}
    return {
        name: train(folder / name, str(folder / f"{corpus}.txt"), "--cell", cell, *size)
        for name, (corpus, cell) in cells.items()
    }


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose model is so large that it can be stopped while it writes."""
    size = ("--hidden", "900", "--layers", "2", "--batch-size", "2", "--time-size", "8", "--iterations", "1")
    return train(
        tmp_path_factory.mktemp("slow") / "slow", "hello", "--level", "char", "--cell", "lstm", *size
    )


@pytest.fixture(scope="session")
def lines_of() -> Callable[[Path], list[dict[str, Any]]]:
    """Read the metrics of a run."""
    return lambda run: [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., Any]]:
    """Start a server of runs."""
    from support.browser_page import Server

    servers: list[Server] = []

    def start(*served: Path, **options: Any) -> Server:
        servers.append(Server(*served, **options))
        return servers[-1].start()

    yield start
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def server(serve: Any, runs: dict[str, Path]) -> Any:
    """The server that most tests look at."""
    return serve(runs["lstm"], runs["rnn"], runs["words"], watch=(runs["growing"],))


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The one browser of all tests."""
    from support.browser_page import open_browser

    driver = open_browser()
    yield driver
    driver.quit()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open the page of a server; what its console holds of faults at the end fails the test."""
    from support.browser_page import Page

    pages: list[Page] = []

    def open_at(address: str) -> Page:
        pages.append(Page(browser, address))
        pages[-1].look()
        return pages[-1]

    browser.get_log("browser")
    yield open_at
    complaints = pages[-1].complaints() if pages else []
    browser.get("about:blank")
    assert not complaints


@pytest.fixture
def page(visit: Any, server: Any) -> Any:
    """The page of the server, which has written its sample."""
    return visit(server.address).open()
