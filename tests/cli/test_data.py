"""`elman data`: the list, and fetching from a mirror."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from elman.text import registry
from elman.text.datasets import datasets

Refused = Callable[..., str]
TEXT = b"a corpus of one line\n"
OWN = registry.Dataset(
    name="mine",
    description="one line",
    licence="free",
    size=len(TEXT),
    files={"train": "mine.train.txt"},
    urls={"train": "http://localhost:9/unused"},
    sha256={"train": hashlib.sha256(TEXT).hexdigest()},
)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, no folder of data, and one more corpus."""
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ELMAN_DATA", raising=False)
    monkeypatch.delenv("ELMAN_MIRROR", raising=False)
    every = {**registry._all(), "mine": OWN}
    monkeypatch.setattr(registry, "_all", lambda: every)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that a server on this machine offers."""
    folder = tmp_path / "mirror"
    (folder / "mine").mkdir(parents=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("ELMAN_MIRROR", f"http://127.0.0.1:{server.server_port}")
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_list_shows_licence_and_place_of_every_corpus(command: Any) -> None:
    head, *lines = command("data").out.splitlines()
    assert head.split() == ["name", "size", "licence", "where", "what"]
    assert len(lines) == len(datasets())
    for line, known in zip(lines, datasets(), strict=True):
        assert line.startswith(known.name)
        assert known.licence in line
        assert f"not here yet: elman data {known.name}" in line
        assert line.endswith(known.description)


def test_built_in_corpus_is_generated(command: Any, tmp_path: Path) -> None:
    (line,) = command("data", "hello").out.splitlines()
    split, path = line.split("\t")
    assert split == "train"
    assert Path(path).read_text(encoding="utf-8").lower().startswith("you say goodbye")
    shown = next(line for line in command("data").out.splitlines() if line.startswith("hello"))
    assert str(Path(path).parent) in shown


def test_corpus_is_downloaded_from_the_mirror_once(command: Any, mirror: Path, tmp_path: Path) -> None:
    (mirror / "mine" / "mine.train.txt").write_bytes(TEXT)
    outcome = command("data", "mine")
    assert (outcome.code, outcome.err) == (0, "")
    path = Path(outcome.out.strip().split("\t")[1])
    assert path == tmp_path / "cache" / "mine" / "mine.train.txt"
    assert path.read_bytes() == TEXT
    (mirror / "mine" / "mine.train.txt").unlink()
    assert command("data", "mine").out == outcome.out


def test_file_with_wrong_checksum_is_discarded(refused: Refused, mirror: Path, tmp_path: Path) -> None:
    (mirror / "mine" / "mine.train.txt").write_bytes(TEXT + b"more")
    assert "does not have the checksum" in refused("data", "mine")
    assert not list((tmp_path / "cache").rglob("*.txt"))


def test_mirror_without_the_file_is_an_error(refused: Refused, mirror: Path) -> None:
    line = refused("data", "mine")
    assert "the server answered 404" in line
    assert "put mine.train.txt into" in line


def test_no_connection_is_a_one_line_error(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMAN_MIRROR", "http://127.0.0.1:9")
    assert "cannot be fetched: no connection" in refused("data", "mine")


def test_unknown_name_suggests_similar_ones(refused: Refused) -> None:
    line = refused("data", "romos")
    assert "there is no corpus named 'romos'; did you mean rooms" in line
    assert "elman data" in line
