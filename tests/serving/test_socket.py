"""A server in a process of its own: clients that disconnect, and its shutdown."""

import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import httpx
import pytest

from elman.errors import ConfigError
from elman.serving.server import listen
from support.waiting import LONG, wait_until

HEAD = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def health(address: str) -> Any:
    return httpx.get(f"{address}/health", timeout=LONG).json()


def until_idle(address: str) -> None:
    names = ("streams", "sequences_busy", "sequences_waiting")
    wait_until(lambda: not any(health(address)[name] for name in names), "the server is idle")


def connected(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), LONG)


@pytest.mark.slow
def test_sequences_are_free_when_the_client_disconnects(start: Any) -> None:
    address = start("--max-tokens", "1000000000", "--max-seconds", "100000")[1]
    body = json.dumps({"prompt": "tom", "max_tokens": 10**9})  # does not end during the test
    with httpx.stream(
        "POST", f"{address}/v1/completions", json={**json.loads(body), "stream": True}, timeout=LONG
    ) as answer:
        assert next(answer.iter_lines()).startswith("data: ")
    until_idle(address)
    with connected(address) as connection:
        connection.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        wait_until(lambda: health(address)["sequences_busy"], "the completion has begun")
    until_idle(address)


def streamed(address: str, number: int) -> tuple[str, list[Any], bool]:
    """Request a stream; return its text, its finish reasons, and whether it ended with [DONE]."""
    body = {
        "prompt": "tom was"[: 3 + 4 * (number % 2)],
        "max_tokens": 10 + number,
        "seed": number,
        "stream": True,
    }
    answer = httpx.post(f"{address}/v1/completions", json={**body, "logprobs": 0}, timeout=LONG)
    assert answer.status_code == 200, answer.text
    *events, done, rest = answer.text.split("\n\n")
    choices = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events]
    assert sum(len(choice["logprobs"]["tokens"]) for choice in choices) == body["max_tokens"]
    ends = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    return "".join(choice["text"] for choice in choices), ends, (done, rest) == ("data: [DONE]", "")


@pytest.mark.slow
def test_many_streams_have_the_results_they_have_alone(start: Any) -> None:
    address = start("--max-streams", "8")[1]
    with ThreadPoolExecutor(
        8
    ) as clients:  # each opens its next stream when its last has ended: there is room
        together = list(clients.map(partial(streamed, address), range(48)))
    assert all((ends, done) == (["length"], True) for _, ends, done in together)
    until_idle(address)
    assert together[::6] == [streamed(address, number) for number in range(0, 48, 6)]


def test_incomplete_and_invalid_requests_do_no_harm(address: str) -> None:
    for sent in (
        "GET",
        "\x00\x01\r\n\r\n",
        HEAD,
        f"{HEAD}Content-Length: 100\r\n\r\n{{",
        f"{HEAD}Content-Length: x\r\n\r\n",
    ):
        with connected(address) as connection:
            connection.sendall(sent.encode("latin-1"))
    assert health(address)["status"] == "ok"


@pytest.mark.slow
def test_six_hundred_unfinished_heads_keep_no_one_out(start: Any) -> None:
    address = start()[1]
    with ExitStack() as stack:
        for _ in range(600):
            stack.enter_context(connected(address)).sendall(b"GET /health HTTP/1.1\r\nHost:")
        assert health(address)["status"] == "ok"
        body = {"prompt": "tom", "max_tokens": 2}
        assert httpx.post(f"{address}/v1/completions", json=body, timeout=LONG).status_code == 200


def test_a_stream_is_served_to_its_end_before_the_server_stops(start: Any) -> None:
    process, address = start()
    with connected(address) as connection:
        connection.sendall(b"\x00\r\n\r\n")  # reported to the client, not logged
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")
    body = {"prompt": "tom", "max_tokens": 1000, "stream": True}
    with httpx.stream("POST", f"{address}/v1/completions", json=body, timeout=LONG) as answer:
        lines = filter(None, answer.iter_lines())
        first = next(lines)
        process.send_signal(signal.SIGTERM)
        *events, done = [first, *lines]
    assert done == "data: [DONE]"
    assert json.loads(events[-1].removeprefix("data: "))["choices"][0]["finish_reason"] == "length"
    assert len(events) >= 1000
    assert process.wait(LONG) == 0
    assert process.stderr.read() == b""
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, timeout=LONG)


def test_the_error_for_a_missing_library_names_its_extra() -> None:
    program = "import sys; sys.modules['uvicorn'] = None; from elman.cli import main; main(['serve', 'x'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "elman: uvicorn is not installed; type: pip install 'elman[serve]'\n"


def test_an_address_in_use_is_an_error(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with pytest.raises(ConfigError, match="choose another `port`"):
        listen(host, int(port))
