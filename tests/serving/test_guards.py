"""Keys, hosts and headers; what a server reports about itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from elman.formats.metrics_log import Metrics
from elman.serving.middleware import LOOPBACK
from elman.serving.routes_about import openapi_document
from elman.serving.server import is_loopback


@pytest.fixture(scope="module")
def guarded(serve: Any, models: Any) -> Any:
    return serve(models, key="a secret", hosts=LOOPBACK)


def test_a_key_is_needed_if_the_server_has_one(guarded: Any) -> None:
    for authorization in ("", "a secret", "Bearer", "Bearer a secre", "Bearer a secrets", "Basic a secret"):
        answer = guarded.get("/v1/models", headers={"authorization": authorization})
        assert answer.status_code == 401
    assert guarded.get("/v1/models").json()["error"]["code"] == "invalid_api_key"
    assert guarded.get("/v1/models", headers={"authorization": "Bearer a secret"}).status_code == 200
    assert (
        guarded.get("/v1/models", headers={"authorization": "Bearer \xe9".encode("latin-1")}).status_code
        == 401
    )
    assert guarded.get("/health").status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8000",
        "[::1].evil.example",
        "[::1].evil.example:8000",
        "[::1]evil.example",
        "localhost:evil.example",
        "localhost:80:80",
        "localhost:80.evil.example",
        "localhost:99999",
        "localhost:-1",
        "localhost:+80",
        "localhost:8 0",
        "localhost/evil.example",
        "localhost@evil.example",
        "user@localhost",
        "evil.example#localhost",
        "evil.example,localhost",
        "localhost,evil.example",
        "local host",
        "[::1",
        "::1",
        "[::1]:evil.example",
        "[localhost]",
        "[]",
        "[::1%25lo]",
        ":80",
        "http://localhost",
        "localhost\t.evil.example",
        "localhost.",
        "0.0.0.0",
        "2130706433",
    ],
)
def test_other_hosts_are_refused(guarded: Any, host: str) -> None:
    answer = guarded.get("/health", headers={"host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8000", "127.0.0.1:80", "[::1]:8000", "[::1]", "localhost:", "localhost:65535"],
)
def test_this_machine_is_served(guarded: Any, host: str) -> None:
    assert guarded.get("/health", headers={"host": host}).status_code == 200


def test_every_answer_carries_the_security_headers(guarded: Any) -> None:
    for answer in (guarded.get("/"), guarded.get("/nothing"), guarded.get("/", headers={"host": "x"})):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert not any(name.startswith("access-control") for name in answer.headers)


def test_other_sites_may_not_ask_the_browser(client: Any) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    assert client.options("/v1/completions", headers=headers).status_code == 405


def test_loopback_addresses() -> None:
    assert [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "127.9.9.9")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "192.168.0.1", "example.org")] == [False] * 4


def test_models_are_listed_and_named(client: Any) -> None:
    listed = client.get("/v1/models").json()
    assert [each["id"] for each in listed["data"]] == ["word", "char", "jamo", "byte"]
    assert client.get("/v1/models/char").json() == listed["data"][1]


def test_metrics_count_requests_and_tokens(client: Any, complete: Any) -> None:
    complete("tom", max_tokens=2)
    text = client.get("/metrics").text
    assert 'elman_requests_total{route="/v1/completions",status="200"}' in text
    assert 'elman_drawn_tokens_total{model="word"}' in text
    assert 'elman_sequences_busy{model="word"} 0.0' in text


def test_the_training_of_a_run_can_be_followed(serve: Any, models: Any, tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "metrics.jsonl")
    watching = serve(models, runs={"mine": tmp_path})
    assert watching.get("/runs").json() == {"runs": ["mine"]}
    assert watching.get("/runs/mine/metrics").status_code == 404
    metrics.write("epoch", epoch=1)
    metrics.write("epoch", epoch=2)
    answer = watching.get("/runs/mine/metrics", params={"after": 1}).json()
    assert answer == {"run": "mine", "lines": [{"kind": "epoch", "epoch": 2}], "next": 2}
    for after in ("-1", "x", "²", "9" * 5000):
        assert watching.get("/runs/mine/metrics", params={"after": after}).status_code == 400


def test_long_metrics_come_in_several_answers(
    serve: Any, models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics(tmp_path / "metrics.jsonl")
    for epoch in range(5):
        metrics.write("epoch", epoch=epoch)
    monkeypatch.setattr("elman.serving.followed_run.ANSWER_BYTES", 70)
    watching, answers, after = serve(models, runs={"mine": tmp_path}), [], 0
    for _ in range(3):
        answers.append(watching.get("/runs/mine/metrics", params={"after": after}).json())
        after = answers[-1]["next"]
    assert [[line["epoch"] for line in each["lines"]] for each in answers] == [[0, 1], [2, 3], [4]]
    assert ["more" in each for each in answers] == [True, True, False]


def test_the_openapi_document_lists_all_routes(client: Any) -> None:
    published = client.get("/openapi.json").json()
    assert published == json.loads(json.dumps(openapi_document()))
    routes = {route.path for route in client.app.routes} - {
        "/page/{file:path}"
    }  # which is not part of the API
    assert set(published["paths"]) == routes
    fields = published["components"]["schemas"]["CompletionRequest"]["properties"]
    assert fields["temperature"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 2}
