"""Requests that a server refuses: it sends a 4xx answer whose error object has four keys, and continues to serve."""

import asyncio
import json
from typing import Any

import pytest

from elman.serving.app import make_app
from elman.serving.routes_about import openapi_document
from elman.serving.schemas import Limits
from elman.serving.state import Models, ServedModel
from support.waiting import wait_until

FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"suffix": "x"}, "suffix"),
    ({"functions": []}, "functions"),
    ({"prompt": []}, "prompt"),
    ({"prompt": [1, "a"]}, "prompt"),
    ({"prompt": ["a", 1]}, "prompt"),
    ({"prompt": [[1], "a"]}, "prompt"),
    ({"prompt": [["a"]]}, "prompt"),
    ({"prompt": [99999]}, "prompt"),
    ({"prompt": [-1]}, "prompt"),
    ({"prompt": [10**30]}, "prompt"),
    ({"prompt": {"a": 1}}, "prompt"),
    ({"prompt": "zeppelin"}, "prompt"),
    ({"prompt": "tom " * 300}, "prompt"),
    ({"prompt": ["tom"] * 20}, "prompt"),
    ({"n": -1}, "n"),
    ({"n": 10**9}, "n"),
    ({"n": 1.5}, "n"),
    ({"n": True}, "n"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"max_tokens": 10**9}, "max_tokens"),
    ({"max_tokens": "many"}, "max_tokens"),
    ({"max_tokens": 10**30}, "max_tokens"),
    ({"max_tokens": 1e300}, "max_tokens"),
    ({"seed": -(10**30)}, "seed"),
    ({"temperature": "NaN"}, "temperature"),
    ({"temperature": 1e300}, "temperature"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"top_k": -1}, "top_k"),
    ({"logprobs": 6}, "logprobs"),
    ({"seed": 2**63}, "seed"),
    ({"stop": ["a"] * 17}, "stop"),
    ({"stop": [1]}, "stop"),
    ({"logit_bias": {"x": 1}}, "logit_bias"),
    ({"logit_bias": {"99999": 1}}, "logit_bias"),
    ({"logit_bias": {"²": 1}}, "logit_bias"),
    ({"logit_bias": {"1": 101}}, "logit_bias"),
    ({"presence_penalty": 3}, "presence_penalty"),
    ({"best_of": 1, "n": 2}, "best_of"),
    ({"best_of": 3, "stream": True}, "best_of"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x"),
    ({"model": "other"}, "model"),
]
BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"temperature": NaN}',
    b'{"temperature": Infinity}',
    b'{"temperature": 1e999}',
    b'{"prompt": "\xff\xfe"}',
    b'{"prompt": "\\ud800"}',
    b'{"prompt": ' + b"[" * 100_000,
    b'{"prompt": "a", "n": ' + b"9" * 5000 + b"}",
    b'{"prompt": "a", "top_k": 1e400}',
    b'{"prompt": "a", "temperature": -1e400}',
    b'{"prompt": "a"} {}',
    b'\xef\xbb\xbf{"prompt": "a"}',
    '{"prompt": "a"}'.encode("utf-16"),
]
PATHS = openapi_document()["paths"]
POSTS = [path for path, operations in PATHS.items() if "post" in operations]
GETS = [path for path, operations in PATHS.items() if "get" in operations]


@pytest.fixture(scope="module")
def small(serve: Any, models: Any) -> Any:
    limits = Limits(body_bytes=200_000, prompt_tokens=256, prompts=16, streams=0)
    return serve(models, limits, lessons=True)


def refused(answer: Any, status: int = 400) -> Any:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    return error


@pytest.mark.parametrize(("fields", "param"), FIELDS)
def test_a_wrong_field_is_named(small: Any, fields: dict[str, Any], param: str) -> None:
    answer = small.post("/v1/completions", json={"prompt": "tom", **fields})
    assert refused(answer, 404 if param == "model" else 400)["param"] == param


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", POSTS)
def test_an_invalid_body_is_refused(small: Any, path: str, body: bytes) -> None:
    refused(small.post(path, content=body, headers={"content-type": "application/json"}))


def test_a_body_that_is_too_large_is_refused(small: Any) -> None:
    body = json.dumps({"prompt": "a" * 10_000_000}).encode()
    headers = {"content-type": "application/json"}
    assert refused(small.post("/tokenize", content=body, headers=headers), 413)["code"] == "body_too_large"
    chunks = iter([body[:150_000], body[150_000:300_000]])  # without a content-length
    refused(small.post("/tokenize", content=chunks, headers=headers), 413)


def test_a_body_that_comes_too_slowly_is_refused(models: Any) -> None:
    app = make_app(Models([ServedModel("word", models["word"], Limits())]), Limits(body_seconds=0.001))
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()  # never

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": "/score", "query_string": b"", "headers": headers}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


def test_another_kind_of_body_is_refused(small: Any) -> None:
    refused(small.post("/v1/completions", content=b"prompt=a"), 415)
    refused(small.post("/v1/completions", data={"prompt": "a"}), 415)


def test_more_streams_than_allowed_are_refused_for_now(small: Any) -> None:
    answer = small.post("/v1/completions", json={"prompt": "tom", "stream": True})
    assert refused(answer, 429)["type"] == "rate_limit_error"
    assert answer.headers["retry-after"] == "1"


def test_more_texts_than_may_wait_are_refused_for_now(serve: Any, models: Any) -> None:
    busy = serve(models, Limits(waiting=3))
    refused(busy.post("/rescore", json={"candidates": ["tom"] * 4}), 429)
    assert refused(busy.post("/v1/completions", json={"prompt": ["tom"] * 4}))["param"] == "n"
    assert busy.post("/rescore", json={"candidates": ["tom"] * 3}).status_code == 200


def test_a_request_that_takes_too_long_ends(serve: Any, models: Any) -> None:
    impatient = serve(models, Limits(seconds=0.01, max_tokens=10**9))
    fields = {"prompt": "tom", "max_tokens": 10**9}
    assert refused(impatient.post("/v1/completions", json=fields))["code"] == "time_limit_exceeded"
    streamed = impatient.post("/v1/completions", json={**fields, "stream": True}).text
    assert '"code":"time_limit_exceeded"' in streamed.split("\n\n")[-2]
    wait_until(lambda: not impatient.get("/health").json()["sequences_busy"], "the sequences are free again")


def test_unknown_paths_and_methods_are_refused(small: Any) -> None:
    refused(small.get("/nothing"), 404)
    refused(small.get("/v1/completions"), 405)
    refused(small.get("/v1/models/other"), 404)
    refused(small.get("/tokenizer_info?model=other"), 404)
    refused(small.get("/runs/..%2f..%2fetc/metrics"), 404)
    refused(small.get("/../../etc/passwd"), 404)


@pytest.mark.parametrize("path", POSTS)
def test_post_endpoints_allow_no_other_method(small: Any, path: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "NONSENSE"):
        answer = small.request(method, path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"
    assert refused(small.get(path), 405)["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", GETS)
def test_get_endpoints_allow_no_other_method(small: Any, path: str) -> None:
    path = path.format(name="word")
    for method in ("POST", "OPTIONS", "PUT", "DELETE"):
        answer = small.request(method, path)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    head, got = small.head(path), small.get(path)
    assert (head.status_code, head.headers["content-type"]) == (got.status_code, got.headers["content-type"])
    assert head.content == b""
    with_body = small.request("GET", path, content=b"{", headers={"content-type": "application/json"})
    assert with_body.status_code == got.status_code  # the body of a GET is ignored


def test_of_a_repeated_field_the_last_counts_and_both_are_checked(client: Any) -> None:
    def ask(body: str) -> Any:
        return client.post("/tokenize", content=body, headers={"content-type": "application/json"})

    assert ask('{"prompt": "tom was", "prompt": "tom"}').json()["count"] == 1
    assert refused(ask('{"prompt": 1, "prompt": "tom"}'))["param"] == "prompt"


def test_an_internal_error_reveals_nothing(
    serve: Any, models: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = serve({"word": models["word"]})
    with monkeypatch.context() as patch:
        patch.setattr("elman.serving.continuation.TokenSampler.draw", lambda *_: {}["secret"])
        answer = broken.post("/v1/completions", json={"prompt": "tom"})
        assert refused(answer, 500)["code"] == "internal_error"
        assert "secret" not in answer.text
    assert "secret" in caplog.text
    assert broken.post("/v1/completions", json={"prompt": "tom"}).status_code == 200
