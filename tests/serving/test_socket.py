"""A server as a process of its own: clients that go away, and its end."""

import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import pytest

from elman.errors import ConfigError
from elman.serving.server import listen

LONG = {"prompt": "tom", "max_tokens": 16_000, "stream": True}


def until_idle(address: str) -> None:
    while any(httpx.get(f"{address}/health").json()[name] for name in ("streams", "sequences_busy")):
        time.sleep(0.01)


def test_sequences_are_free_when_the_client_is_gone(address: str) -> None:
    with httpx.stream("POST", f"{address}/v1/completions", json=LONG) as answer:
        assert next(answer.iter_lines()).startswith("data: ")
    until_idle(address)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{address}/v1/completions", json=LONG | {"stream": False}, timeout=0.1)
    until_idle(address)


def streamed(address: str, number: int) -> tuple[str, list[Any], bool]:
    """Ask for a stream; return its text, why it ended, and whether it said so."""
    asked = {
        "prompt": "tom was"[: 3 + 4 * (number % 2)],
        "max_tokens": 10 + number,
        "seed": number,
        "stream": True,
    }
    answer = httpx.post(f"{address}/v1/completions", json={**asked, "logprobs": 0}, timeout=60)
    assert answer.status_code == 200, answer.text
    *events, done, rest = answer.text.split("\n\n")
    choices = [json.loads(event.removeprefix("data: "))["choices"][0] for event in events]
    assert sum(len(choice["logprobs"]["tokens"]) for choice in choices) == asked["max_tokens"]
    ends = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    return "".join(choice["text"] for choice in choices), ends, (done, rest) == ("data: [DONE]", "")


def test_none_of_many_streams_is_lost_and_each_is_as_it_is_alone(start: Any) -> None:
    address = start("--max-streams", "8")[1]
    with ThreadPoolExecutor(
        8
    ) as clients:  # each asks for another as soon as its last has ended: there is room
        together = list(clients.map(partial(streamed, address), range(48)))
    assert all((ends, done) == (["length"], True) for _, ends, done in together)
    until_idle(address)
    assert together[::6] == [streamed(address, number) for number in range(0, 48, 6)]


def test_a_connection_that_says_half_of_it_hurts_nobody(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for sent in (
        "GET",
        "\x00\x01\r\n\r\n",
        head,
        f"{head}Content-Length: 100\r\n\r\n{{",
        f"{head}Content-Length: x\r\n\r\n",
    ):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(sent.encode("latin-1"))
    assert httpx.get(f"{address}/health").json()["status"] == "ok"


def test_a_stream_is_served_to_its_end_before_the_server_stops(start: Any) -> None:
    process, address = start()
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"\x00\r\n\r\n")  # told to the client, not to the log
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")
    with httpx.stream("POST", f"{address}/v1/completions", json=LONG | {"max_tokens": 1000}) as answer:
        lines = filter(None, answer.iter_lines())
        first = next(lines)
        process.send_signal(signal.SIGTERM)
        *events, done = [first, *lines]
    assert done == "data: [DONE]"
    assert json.loads(events[-1].removeprefix("data: "))["choices"][0]["finish_reason"] == "length"
    assert len(events) >= 1000
    assert process.wait(30) == 0
    assert process.stderr.read() == b""
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)


def test_a_missing_library_is_named_with_its_extra() -> None:
    program = "import sys; sys.modules['uvicorn'] = None; from elman.cli import main; main(['serve', 'x'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "elman: uvicorn is not installed; type: pip install 'elman[serve]'\n"


def test_an_address_that_is_taken_is_an_error(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with pytest.raises(ConfigError, match="choose another with --port"):
        listen(host, int(port))
