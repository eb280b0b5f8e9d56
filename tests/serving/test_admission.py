"""What a request may cost: the size of its answer, its memory, and none of the event loop's time."""

import threading
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from elman.serving.admission import BODY_FACTOR, ENTRY_BYTES, Budget, Reservation
from elman.serving.schemas import Limits, RequestRefused
from elman.text_model import TextModel
from support.waiting import LONG, wait_until

LIMIT = 100
SMALL = Limits(answer_entries=LIMIT, choices=2, max_tokens=40, prompt_tokens=80)
TOM = "tom " * 10  # ten tokens


@pytest.fixture(scope="module")
def bounded(serve: Any, models: Any) -> Any:
    return serve(models, SMALL)


ANSWERS: list[tuple[str, dict[str, Any], int]] = [  # path, body, entries
    ("/score", {"text": TOM, "eos": False, "top": 9}, 100),
    ("/score", {"text": TOM, "eos": False, "top": 10}, 110),
    ("/score", {"text": TOM, "top": 9}, 110),
    ("/score", {"text": [TOM] * 10, "eos": False}, 100),
    ("/score", {"text": [TOM] * 10, "eos": True}, 110),
    ("/score", {"text": [TOM, "tom"], "eos": False, "top": 50}, 11 * 25),  # the vocabulary has 24 words
    ("/rescore", {"candidates": [TOM] * 9, "context": TOM, "eos": False}, 100),
    ("/rescore", {"candidates": [TOM] * 9, "context": TOM + "tom", "eos": False}, 101),
    ("/next", {"prompt": TOM, "top": 1000}, 35),
    ("/next", {"prompt": "tom " * 75, "top": 24}, 100),
    ("/next", {"prompt": "tom " * 76, "top": 24}, 101),
    ("/tokenize", {"prompt": "tom " * 100}, 100),
    ("/tokenize", {"prompt": "tom " * 101}, 101),
    ("/tokenize", {"prompt": "tom " * 50, "return_token_strs": True}, 100),
    ("/tokenize", {"prompt": "tom " * 51, "return_token_strs": True}, 102),
    ("/detokenize", {"tokens": [0] * 80}, 80),
    ("/v1/completions", {"prompt": TOM, "max_tokens": 15, "logprobs": 5}, 100),
    ("/v1/completions", {"prompt": TOM, "max_tokens": 16, "logprobs": 5}, 106),
    ("/v1/completions", {"prompt": TOM, "max_tokens": 40, "n": 2}, 90),
    ("/v1/completions", {"prompt": [TOM] * 3, "max_tokens": 10, "n": 1, "best_of": 2}, 90),
    ("/v1/completions", {"prompt": [TOM] * 4, "max_tokens": 10, "n": 1, "best_of": 2}, 120),
    ("/v1/completions", {"prompt": TOM, "max_tokens": 5, "echo": True, "logprobs": 5}, 90),
    ("/v1/completions", {"prompt": TOM, "max_tokens": 7, "echo": True, "logprobs": 5}, 102),
    ("/v1/completions", {"prompt": TOM, "max_tokens": 4, "echo": True, "logprobs": 3, "n": 2}, 112),
    ("/v1/completions", {"prompt": [[0] * 60, [1] * 41], "max_tokens": 0}, 101),
    ("/v1/completions", {"prompt": TOM, "max_tokens": 16, "logprobs": 5, "stream": True}, 106),
]


@pytest.mark.parametrize(("path", "body", "entries"), ANSWERS)
def test_an_answer_beyond_the_limit_is_refused(
    bounded: Any, path: str, body: dict[str, Any], entries: int
) -> None:
    answer = bounded.post(path, json=body)
    if entries <= LIMIT:
        assert answer.status_code == 200, answer.text
        return
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "limit_exceeded"
    assert f"the limit of this server is {LIMIT}; " in error["message"]
    assert error["param"] in ("text", "candidates", "context", "prompt", "max_tokens", "top")


def test_refused_texts_are_not_encoded_to_the_end(
    serve: Any, models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = TextModel.encode

    def counted(self: TextModel, text: str) -> Any:
        encoded.append(text)
        return encode(self, text)

    monkeypatch.setattr(TextModel, "encode", counted)
    client = serve({"word": models["word"]}, SMALL)
    assert client.post("/score", json={"text": [TOM] * 200, "eos": False, "top": 4}).status_code == 400
    assert len(encoded) == 3
    fields = {"prompt": [TOM] * 4, "max_tokens": 40}
    assert client.post("/v1/completions", json=fields).json()["error"]["param"] == "max_tokens"
    assert len(encoded) == 3
    assert client.get("/health").json()["sequences_waiting"] == 0


@pytest.mark.parametrize("level", ["char", "jamo", "byte"])
def test_a_text_that_is_certain_to_be_too_long_is_not_encoded(
    serve: Any, models: Any, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    client = serve({level: models[level]}, SMALL)
    for composed in ("a" * 80, "ᾂ" * (10 if level == "byte" else 26)):
        given = unicodedata.normalize("NFD", composed)
        answer = client.post("/tokenize", json={"prompt": given})
        assert answer.json()["count"] <= LIMIT, answer.text
    monkeypatch.setattr(TextModel, "encode", None)
    for path, field, count in (
        ("/tokenize", "prompt", 404),
        ("/next", "prompt", 324),
        ("/score", "text", 324),
    ):
        answer = client.post(path, json={field: "a" * count})
        assert answer.status_code == 400
        assert "tokens or more" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": "a" * 1001},
        {"stop": ["a", "b" * 1001]},
        {"stop": ["a"] * 17},
        {"logit_bias": {str(id_): 1 for id_ in range(1025)}},
    ],
)
def test_what_each_token_must_be_compared_with_is_bounded(client: Any, fields: dict[str, Any]) -> None:
    answer = client.post("/v1/completions", json={"prompt": "tom", **fields})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == next(iter(fields))


def test_memory_is_reserved_for_a_request_and_given_back(
    serve: Any, models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserved: list[int] = []
    budgets: set[Budget] = set()
    reserve = Budget.reserve

    def recorded(self: Budget, amount: int) -> None:
        budgets.add(self)
        if amount:
            reserved.append(amount)
        reserve(self, amount)

    monkeypatch.setattr(Budget, "reserve", recorded)
    one = serve({"word": models["word"]})
    sent = one.post("/score", json={"text": [TOM, "tom"], "top": 3})
    assert sent.status_code == 200
    size = len(sent.request.content)
    assert reserved == [size * BODY_FACTOR, 11 * 4 * ENTRY_BYTES, 2 * 4 * ENTRY_BYTES]
    assert [budget.reserved for budget in budgets] == [0]


def test_a_budget_is_shared_and_no_request_is_too_large_for_it() -> None:
    budget = Budget(100)
    first, second = Reservation(budget), Reservation(budget)
    first.add(1000)
    assert budget.reserved == 50
    second.add(30)
    third = Reservation(budget)
    with pytest.raises(RequestRefused, match="100 bytes") as refused:
        third.add(21)
    assert refused.value.status == 429
    first.release()
    third.add(21)
    second.release()
    third.release()
    third.release()
    assert budget.reserved == 0


@contextmanager
def waiting_encoder(monkeypatch: pytest.MonkeyPatch, size: int) -> Iterator[tuple[Any, threading.Event]]:
    """Let texts of ``size`` characters or more wait; yield an event that their encoding has begun, and its end."""
    begun, end = threading.Semaphore(0), threading.Event()
    encode = TextModel.encode

    def waiting(self: TextModel, text: str) -> Any:
        if len(text) >= size:
            begun.release()
            assert end.wait(LONG)
        return encode(self, text)

    with monkeypatch.context() as patch:
        patch.setattr(TextModel, "encode", waiting)
        try:
            yield begun, end
        finally:
            end.set()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/score", {"text": "tom " * 5000, "eos": False}),
        ("/v1/completions", {"prompt": "tom " * 5000}),
        ("/next", {"prompt": "tom " * 5000}),
        ("/rescore", {"candidates": ["tom " * 5000], "eos": False}),
        ("/tokenize", {"prompt": "tom " * 5000}),
    ],
)
def test_others_are_served_while_a_large_request_is_encoded(
    client: Any, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    with (
        waiting_encoder(monkeypatch, 20_000) as (begun, end),
        ThreadPoolExecutor(1) as pool,
    ):
        large = pool.submit(client.post, path, json=body)
        assert begun.acquire(timeout=LONG)
        assert client.get("/health").status_code == 200
        assert client.post("/score", json={"text": "tom"}).status_code == 200
        assert not large.done()
        end.set()
        assert large.result(LONG).status_code == 200


def test_large_requests_beyond_those_that_may_wait_are_refused_for_now(
    serve: Any, models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = serve({"word": models["word"]}, Limits(large_waiting=2))
    server, body = one.app.state.server, {"prompt": "tom " * 5000}
    with (
        waiting_encoder(monkeypatch, 20_000) as (begun, end),
        ThreadPoolExecutor(2) as pool,
    ):
        both = [pool.submit(one.post, "/tokenize", json=body) for _ in range(2)]
        assert begun.acquire(timeout=LONG)
        wait_until(lambda: len(server.slow_thread._pending) == 2, "the other waits")
        refused = one.post("/tokenize", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_requests")
        end.set()
        assert [each.result(LONG).status_code for each in both] == [200, 200]


def test_a_large_answer_is_complete(client: Any) -> None:
    answer = client.post(
        "/score", json={"text": ["tom was in his room . " * 60] * 10, "top": 20, "model": "word"}
    )
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) == len(answer.content) > 1 << 20
    results = answer.json()["results"]
    assert [len(each["tokens"]) for each in results] == [361] * 10
    assert all(len(token["top"]) == 20 for each in results for token in each["tokens"])
