import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from elman.errors import DatasetError, TextError
from elman.text import datasets, ptb, registry
from elman.text.corpus import encode_corpus
from elman.text.datasets import Dataset, fetch, locate, resolve, spool
from elman.text.registry import named
from elman.text.tokenizers import WordTokenizer

BODY = b"you say goodbye\n" * 10_000


class Host:
    """A web server on this machine with selectable faults."""

    def __init__(self) -> None:
        host = self
        self.asked: list[str] = []
        self.fault: Callable[[BaseHTTPRequestHandler], None] | None = None

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append(self.path)
                (host.fault or whole)(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def dataset(self) -> Dataset:
        digest = hashlib.sha256(BODY).hexdigest()
        splits = ("train", "valid")
        return Dataset(
            name="goodbyes",
            description="for this test",
            licence="none",
            size=2 * len(BODY),
            files={split: f"{split}.txt" for split in splits},
            urls={split: f"{self.url}/{split}" for split in splits},
            sha256=dict.fromkeys(splits, digest),
        )


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    started = Host()
    yield started
    started.close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ELMAN_DATA", raising=False)
    monkeypatch.delenv("ELMAN_MIRROR", raising=False)
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def whole(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.end_headers()
    handler.wfile.write(BODY)


def half(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.end_headers()
    handler.wfile.write(BODY[: len(BODY) // 2])


def other(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "5")
    handler.end_headers()
    handler.wfile.write(b"other")


def silent(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def missing(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(404)


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_corpus_is_fetched_once(host: Host, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert locate(host.dataset()) is None
    paths = fetch(host.dataset())
    assert paths == {split: cache / "goodbyes" / f"{split}.txt" for split in ("train", "valid")}
    assert [path.read_bytes() for path in paths.values()] == [BODY, BODY]
    assert fetch(host.dataset()) == paths == locate(host.dataset())
    assert host.asked == ["/train", "/valid"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (half, "/train cannot be fetched: the transfer broke off; try again"),
        (other, "/train does not have the checksum sha256:.*; try again"),
        (silent, "/train cannot be fetched: no connection; try again"),
        (missing, "/train cannot be fetched: the server answered 404 Not Found; try again"),
    ],
)
def test_a_failed_transfer_leaves_nothing_and_can_be_tried_again(
    host: Host, cache: Path, fault: Callable[[BaseHTTPRequestHandler], None], message: str
) -> None:
    host.fault = fault
    with pytest.raises(DatasetError, match=message):
        fetch(host.dataset())
    assert files_in(cache) == []
    assert locate(host.dataset()) is None
    host.fault = None
    assert fetch(host.dataset())["train"].read_bytes() == BODY
    assert files_in(cache) == ["goodbyes/train.txt", "goodbyes/valid.txt"]


def test_files_downloaded_before_a_failure_are_kept(host: Host, cache: Path) -> None:
    host.fault = lambda handler: missing(handler) if handler.path == "/valid" else whole(handler)
    with pytest.raises(DatasetError, match=r"/valid cannot be fetched: .*put valid.txt into"):
        fetch(host.dataset())
    assert files_in(cache) == ["goodbyes/train.txt"]
    host.fault = None
    fetch(host.dataset())
    assert host.asked == ["/train", "/valid", "/valid"]


def test_progress_is_drawn_on_stderr(host: Host, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fetch(host.dataset(), progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert re.search(r"train\.txt: 100%.*\n.*valid\.txt: 100%", err, re.DOTALL)


def test_a_mirror_serves_by_name_and_file(host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch(host.dataset(), mirror=f"{host.url}/mirror/")
    assert host.asked == ["/mirror/goodbyes/train.txt", "/mirror/goodbyes/valid.txt"]
    monkeypatch.setenv("ELMAN_MIRROR", host.url)
    with pytest.raises(DatasetError, match=r"/kafka/kafka\.txt does not have the checksum"):
        resolve("kafka")


def test_no_server_and_no_folder(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DatasetError, match="no connection"):
        fetch("kafka", mirror="http://127.0.0.1:1")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "file"))
    with pytest.raises(DatasetError, match=r"kafka\.txt cannot be written: not a directory; .*ELMAN_CACHE"):
        fetch("kafka", mirror="http://127.0.0.1:1")


def test_own_files_come_before_the_cache(host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = cache.parent / "own"
    (own / "goodbyes").mkdir(parents=True)
    (own / "goodbyes" / "train.txt").write_text("mine\n")
    monkeypatch.setenv("ELMAN_DATA", str(own))
    paths = fetch(host.dataset())
    assert paths["train"] == own / "goodbyes" / "train.txt"
    assert paths["valid"] == cache / "goodbyes" / "valid.txt"
    assert host.asked == ["/valid"]


def test_the_registry_is_complete() -> None:
    names = [known.name for known in datasets.datasets()]
    assert names == [
        "ptb", "wikitext-2", "tinyshakespeare", "kafka", "hello", "rooms", "rooms-ko", "prose-en", "prose-ko",
    ]  # fmt: skip
    for known in datasets.datasets():
        assert known.description
        assert known.licence
        assert known.built_in == (not known.sha256)
        if not known.built_in:
            assert set(known.files) == set(known.urls) == set(known.sha256)


def test_published_corpora_are_unchanged(data: Callable[[str], Path]) -> None:
    for known in datasets.datasets():
        if known.built_in:
            continue
        paths = {split: data(f"{known.name}/{file}") for split, file in known.files.items()}
        assert locate(known.name) == paths
        digests = {split: hashlib.sha256(path.read_bytes()).hexdigest() for split, path in paths.items()}
        assert digests == known.sha256
        assert known.size == sum(path.stat().st_size for path in paths.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hello", "rooms", "rooms-ko", "prose-en", "prose-ko"])
def test_built_in_corpora_are_written_once(cache: Path, name: str) -> None:
    assert locate(name) is None
    paths = fetch(name)
    assert sum(path.stat().st_size for path in paths.values()) == named(name).size
    times = {split: path.stat().st_mtime_ns for split, path in paths.items()}
    assert locate(name) == fetch(name) == paths
    assert {split: path.stat().st_mtime_ns for split, path in paths.items()} == times
    assert resolve(name) == [paths["train"]]
    assert len(files_in(cache)) == len(paths)
    corpus = encode_corpus(resolve(name), WordTokenizer(), cache=None)
    assert corpus.tokens > 300


def test_hello_is_the_sentence(cache: Path) -> None:
    assert resolve("hello")[0].read_text() == "You say goodbye and I say hello.\n" * 50


def test_a_built_in_corpus_that_cannot_be_written(cache: Path) -> None:
    cache.write_text("in the way")
    for name in ("hello", "rooms"):
        with pytest.raises(TextError, match="cannot be written: not a directory"):
            registry.write_builtin(name, "train")


def test_a_file_a_folder_or_a_name(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = tmp_path / "texts"
    for name in ("b.txt", "a/c.txt", ".hidden.txt", ".git/d.txt", "e.md"):
        (texts / name).parent.mkdir(parents=True, exist_ok=True)
        (texts / name).write_text("text\n")
    assert resolve(str(texts / "e.md")) == [texts / "e.md"]
    assert resolve(str(texts)) == [texts / "a" / "c.txt", texts / "b.txt", texts / "e.md"]
    (texts / "none").mkdir()
    with pytest.raises(TextError, match="none holds no text file"):
        resolve(str(texts / "none"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "mine.txt").write_text("mine\n")
    assert resolve("hello") == [registry.builtin_path("hello", "train")]
    assert resolve("./hello") == [Path("hello/mine.txt")]


def test_an_unknown_corpus_argument_is_refused(cache: Path) -> None:
    with pytest.raises(TextError, match=r"no file, folder or named corpus 'kafak'; did you mean kafka\?"):
        resolve("kafak")
    with pytest.raises(TextError, match=r"`elman.corpora\(\)` lists the named corpora"):
        resolve("/no/such/file.txt")
    with pytest.raises(DatasetError, match=r"no corpus named 'wikitext2'; did you mean wikitext-2\?"):
        fetch("wikitext2")
    with pytest.raises(DatasetError, match="hello has no split 'dev'; it has train"):
        resolve("hello", "dev")


def test_the_only_split_of_a_corpus_stands_for_any(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "elman")
    assert resolve("hello", "test", report=False) == resolve("hello")
    assert not caplog.records
    assert resolve("hello", "test") == [registry.builtin_path("hello", "train")]
    assert caplog.messages == ["hello has no split 'test'; reading its only one, 'train'"]


def test_a_pipe_becomes_a_file(tmp_path: Path) -> None:
    first = spool([b"one\n"], tmp_path / "spool")
    time = first.stat().st_mtime_ns
    assert first.read_bytes() == b"one\n"
    assert spool([b"one\n"], tmp_path / "spool") == first
    assert first.stat().st_mtime_ns == time
    assert spool([b"two\n"], tmp_path / "spool").read_bytes() == b"two\n"
    assert len(files_in(tmp_path / "spool")) == 2


def test_ptb_matches_the_textbook(data: Callable[[str], Path]) -> None:
    text = data("ptb/ptb.train.txt").read_text().replace("\n", "<eos>").strip().split()
    corpus, word_to_id, id_to_word = ptb.load_data("train")
    assert len(corpus) == 929_589
    assert len(word_to_id) == len(id_to_word) == 10_000
    assert corpus[:1000].max() + 1 == 418
    assert [id_to_word[i] for i in corpus.tolist()] == text
    assert list(word_to_id) == list(dict.fromkeys(text))
    assert all(id_to_word[i] == word for word, i in word_to_id.items())


@pytest.mark.parametrize(("split", "tokens"), [("valid", 73_760), ("test", 82_430)])
def test_ptb_splits_share_the_vocabulary(data: Callable[[str], Path], split: str, tokens: int) -> None:
    text = data(f"ptb/ptb.{split}.txt").read_text().replace("\n", "<eos>").split()
    corpus, word_to_id, id_to_word = ptb.load_data(split)
    assert len(corpus) == tokens
    assert len(word_to_id) == 10_000
    assert [id_to_word[i] for i in corpus.tolist()] == text


def test_ptb_has_three_splits() -> None:
    with pytest.raises(DatasetError, match="ptb has no split 'dev'; it has train, valid, test"):
        ptb.load_data("dev")
