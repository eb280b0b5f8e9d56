"""How `elman serve` bears hostile requests: ``python benchmarks/hostile.py``.

For each kind of request a server of a small byte model is started, attacked, and asked for GET /health every 20 ms and
for a short completion every 100 ms. The table shows the answers to the attack, the server's peak memory (VmHWM), and
the longest wait for /health and for the completion. The benchmark fails if memory or /health exceeds its limit.

``--source FOLDER`` measures another copy of the package (its ``src``), with which nothing fails, and ``--memory GB``
limits the address space of the server, as an older one may take all of it.
"""

import argparse
import contextlib
import http.client
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elman.benchmark.machine import describe
from tables import markdown

ROOT = Path(__file__).parents[1]
TRAINING = ["train", "rooms", "--level", "byte", "--hidden", "64", "--iterations", "20", "-q"]
MEMORY_MB = 1024  # limit of the server's peak memory
HEALTH_SECONDS = 1.0  # limit of the longest wait for /health
PATIENCE = 600.0
Answers = Counter[str]


@dataclass
class Service:
    """A server under attack, and the waits of its other clients."""

    host: str
    port: int
    process: int
    waits: dict[str, list[float]] = field(default_factory=lambda: {"/health": [], "completion": []})
    failed: int = 0

    def request(self, path: str, body: Any = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        try:
            if body is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def outcome(self, path: str, body: Any = None) -> str:
        try:
            return str(self.request(path, body)[0])
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__

    def watch(
        self, name: str, pause: float, ask: Callable[[], tuple[int, bytes]], end: threading.Event
    ) -> None:
        """Ask again and again until the end."""
        while not end.wait(pause):
            begun = time.perf_counter()
            try:
                self.failed += ask()[0] != 200
            except (OSError, http.client.HTTPException):
                self.failed += 1
            self.waits[name].append(time.perf_counter() - begun)

    @property
    def peak_mb(self) -> float:
        status = Path(f"/proc/{self.process}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@contextlib.contextmanager
def served(run: Path, source: Path, memory: float | None) -> Iterator[Service]:
    """Start a server of a run."""

    def limit() -> None:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (int(memory * 1e9), int(memory * 1e9)))

    command = [sys.executable, "-m", "elman", "serve", str(run), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=limit
    ) as server:
        try:
            assert server.stderr is not None
            greeting = server.stderr.readline()
            if " at http://" not in greeting:
                raise SystemExit(greeting + server.stderr.read())
            host, port = greeting.partition(" at http://")[2].partition(";")[0].split(":")
            threading.Thread(target=server.stderr.read, daemon=True).start()
            yield Service(host, int(port), server.pid)
        finally:
            server.kill()


def several(count: int, path: str, body: Any = None) -> Callable[[Service, Path], Answers]:
    """Return an attack of equal requests at once."""

    def attack(service: Service, run: Path) -> Answers:
        with ThreadPoolExecutor(count) as pool:
            return Counter(pool.map(lambda _: service.outcome(path, body), range(count)))

    return attack


def unfinished(count: int, sent: bytes) -> Callable[[Service, Path], Answers]:
    """Return an attack of connections whose requests never end."""

    def attack(service: Service, run: Path) -> Answers:
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                connection = socket.create_connection((service.host, service.port), PATIENCE)
                stack.enter_context(connection)
                connection.sendall(sent)
            time.sleep(3)
        return Counter({"never finished": count})

    return attack


def polls(service: Service, run: Path) -> Answers:
    """Poll the metrics of a long run ten times, as the page does, while a line is added each time."""
    path = run / "metrics.jsonl"
    line = (
        json.dumps({"kind": "interval", "iteration": 1, "perplexity": 1.5, "grad_norm": 0.5, "lr": 0.1})
        + "\n"
    )
    with path.open("a") as file:
        file.write(line * (29_000_000 // len(line)))
    number, found = 0, Answers()
    for _ in range(100):
        status, body = service.request(f"/runs/{run.name}/metrics?after={number}")
        answer = json.loads(body)
        number = answer["next"]
        found[str(status)] += 1
        if not answer.get("more"):
            with path.open("a") as file:
                file.write(line)
            if not answer["lines"] or len(answer["lines"]) == 1:
                if found["polls of one line"] == 10:
                    break
                found["polls of one line"] += 1
    return found


HEAD = b"GET /health HTTP/1.1\r\nHost:"
BODY = b"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"


def stops(length: int) -> Callable[[Service, Path], Answers]:
    """Return an attack of completions that write "aaa…", which nearly is each of 16 stop strings."""
    strings = ["a" * (length - 1) + "x", *(letter + "a" * (length - 1) for letter in "bcdefghijklmnop")]
    body = {"prompt": "Tom", "max_tokens": 6000, "n": 2, "logit_bias": {str(ord("a")): 100}, "stop": strings}
    return several(1, "/v1/completions", body)


ATTACKS: dict[str, Callable[[Service, Path], Answers]] = {
    "`/score`, 256 texts of 1,000 tokens, `top` 50": several(
        1, "/score", {"text": ["a" * 1000] * 256, "eos": False, "top": 50}
    ),
    "`/score`, a body of 1 MB, `top` 50": several(1, "/score", {"text": ["a" * 16_000] * 64, "top": 50}),
    "`/score`, 300,000 entries, 8 at once": several(
        8, "/score", {"text": ["a" * 980] * 6, "eos": False, "top": 50}
    ),
    "`/tokenize`, a body of 1 MB with names, 16 at once": several(
        16, "/tokenize", {"prompt": "a" * 1_000_000, "return_token_strs": True}
    ),
    "`stop`, 16 of 20,000 letters": stops(20_000),
    "`stop`, 16 of 1,000 letters": stops(1_000),
    "`/runs/NAME/metrics`, 29 MB, followed": polls,
    "600 heads without an end": unfinished(600, HEAD),
    "600 bodies without an end": unfinished(600, BODY),
}


def measured(name: str, run: Path, source: Path, memory: float | None) -> tuple[list[str], bool]:
    """Return the row of an attack, and whether the server kept the limits."""
    with served(run, source, memory) as service:
        end = threading.Event()
        short = {"prompt": "Tom", "max_tokens": 4}
        watchers = [
            threading.Thread(
                target=service.watch, args=("/health", 0.02, lambda: service.request("/health"), end)
            ),
            threading.Thread(
                target=service.watch,
                args=("completion", 0.1, lambda: service.request("/v1/completions", short), end),
            ),
        ]
        for watcher in watchers:
            watcher.start()
        time.sleep(0.5)
        begun = time.perf_counter()
        answers = ATTACKS[name](service, run)
        seconds = time.perf_counter() - begun
        end.set()
        for watcher in watchers:
            watcher.join()
        peak, longest = service.peak_mb, {name: max(waits) for name, waits in service.waits.items()}
    shown = ", ".join(f"{answer}: {count}" if count > 1 else answer for answer, count in answers.items())
    numbers = [
        f"{peak:,.0f}",
        f"{longest['/health']:.3f}",
        f"{longest['completion']:.3f}",
        str(service.failed),
    ]
    kept = peak <= MEMORY_MB and longest["/health"] <= HEALTH_SECONDS and not service.failed
    return [name, shown, f"{seconds:.1f}", *numbers], kept


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--source", type=Path, help="the src folder of another copy of the package")
    parser.add_argument("--memory", type=float, help="limit of the server's address space, GB")
    parser.add_argument("--only", default="", help="attacks whose names contain this")
    given = parser.parse_args()
    rows, all_kept = [], True
    with tempfile.TemporaryDirectory() as folder:
        for name in (each for each in ATTACKS if given.only in each):
            run = Path(folder, f"run{len(rows)}")
            command = [sys.executable, "-m", "elman", *TRAINING, "-o", str(run)]
            subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
            row, kept = measured(name, run, given.source or ROOT / "src", given.memory)
            rows.append(row)
            all_kept &= kept
            print(" | ".join(row), file=sys.stderr)
    print(markdown(["machine", ""], [[key, str(value)] for key, value in describe().items()]))
    head = [
        "attack",
        "answers",
        "seconds",
        "peak memory, MB",
        "longest `/health`, s",
        "longest completion, s",
    ]
    print(markdown([*head, "others that failed"], rows))
    if not (all_kept or given.source):
        raise SystemExit(
            f"a peak of more than {MEMORY_MB} MB, a /health that took {HEALTH_SECONDS:g} s, or a failure"
        )


if __name__ == "__main__":
    main()
