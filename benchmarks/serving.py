"""How `elman serve` handles many clients at once: ``python benchmarks/serving.py [RUN]``.

Streams are requested over HTTP from a server of RUN (by default a small LSTM that is first trained on the words of
`rooms`): one at a time; then by --streams clients at once, each of which requests another stream as soon as its last
has ended, for --seconds or --requests requests; then some of the same requests again, one after another. Prompts are
random ids and lengths are random, drawn from the request's number: a request must have the same text every time, or
the benchmark fails. It also fails if a stream does not end properly, with all requested tokens, or if a stream or a
sequence of the server is not free at the end.

The memory is the server's (VmRSS); it is flat if its mean in the last sixth of the load equals that in the second
sixth. The clients run on the same machine and take part of its time.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from elman.benchmark.machine import describe
from tables import markdown
from watched import elman

TRAINING = ["train", "rooms", "--cell", "lstm", "--wordvec", "100", "--hidden", "200", "--min-count", "2"]
SINGLE = 8  # streams that run alone, before the load
FLAT = 0.05  # fraction by which the memory may grow


@dataclass
class StreamRecord:
    """One stream as seen by its client; times are seconds since the request."""

    text: str = ""
    arrivals: list[float] = field(default_factory=list)
    finish: str | None = None
    tokens: int = 0
    ended: bool = False
    refused: int = 0

    @property
    def gaps(self) -> list[float]:
        return [after - before for before, after in zip(self.arrivals, self.arrivals[1:], strict=False)]


class Service:
    """A server's address and process, and the requests that go there."""

    def __init__(self, address: str, process: int) -> None:
        self.host, port = address.removeprefix("http://").split(":")
        self.port, self.process = int(port), process
        self.words = 0  # of the vocabulary

    async def begin(self) -> None:
        self.words = (await self.get("/tokenizer_info"))["vocab_size"]

    async def get(self, path: str) -> Any:
        reader, writer = await self._send(f"GET {path}", "")
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
        return json.loads(body)

    async def stream(self, number: int, most: int) -> StreamRecord:
        """Ask for the stream with this number, again and again where the server has no room."""
        rng = np.random.default_rng(number)
        tokens = int(rng.integers(most // 4, most + 1))
        prompt = rng.integers(0, self.words, rng.integers(1, 65)).tolist()
        request = {"prompt": prompt, "max_tokens": tokens, "seed": number, "stream": True}
        body = json.dumps({**request, "stream_options": {"include_usage": True}})
        record = StreamRecord()
        while True:
            status = await self._read_stream(body, record)
            if status != 429:
                break
            record.refused += 1
            await asyncio.sleep(0.05)
        if not (status == 200 and record.ended and record.finish == "length" and record.tokens == tokens):
            raise SystemExit(
                f"request {number}: lost ({status}, {record.finish}, {record.tokens} of {tokens} tokens)"
            )
        return record

    async def _read_stream(self, body: str, record: StreamRecord) -> int:
        begun = time.perf_counter()
        reader, writer = await self._send("POST /v1/completions", body)
        status = int((await reader.readline()).split()[1])
        async for line in reader:
            if not line.startswith(b"data: "):
                continue
            now = time.perf_counter() - begun
            if line.startswith(b"data: [DONE]"):
                record.ended = True
                continue
            event = json.loads(line[6:])
            for choice in event.get("choices", ()):
                record.text += choice["text"]
                record.finish = choice["finish_reason"]
                if choice["text"]:
                    record.arrivals.append(now)
            record.tokens = (event.get("usage") or {}).get("completion_tokens", record.tokens)
        writer.close()
        return status

    async def _send(self, what: str, body: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        writer.write(
            f"{what} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}\r\n{body}".encode()
        )
        return reader, writer


@dataclass
class Load:
    """The records of a load's streams, by number, in ``seconds``; the server's CPU time and memory (MB).

    CPU time does not depend on what else is done on the machine, the other times do.
    """

    records: dict[int, StreamRecord]
    seconds: float
    cpu_seconds: float = 0.0
    memory: list[float] = field(default_factory=list)

    def row(self, about: str) -> list[str]:
        firsts = [each.arrivals[0] for each in self.records.values() if each.arrivals]
        gaps = [gap for each in self.records.values() for gap in each.gaps]
        tokens = sum(each.tokens for each in self.records.values())
        parts = (np.percentile(times, share) * 1e3 for times in (firsts, gaps) for share in (50, 99))
        shown = [f"{part:.2f}" for part in parts]
        rates = (f"{tokens / self.seconds:,.0f}", f"{1e3 * self.cpu_seconds / tokens:.3f}")
        return [about, f"{len(self.records):,}", f"{tokens:,}", *shown, *rates]


async def together(service: Service, given: argparse.Namespace) -> Load:
    """Serve as many clients at once as ``given`` says."""
    begun, worked = time.perf_counter(), cpu_seconds(service.process)
    load, numbers = Load({}, 0.0), iter(range(given.requests))

    async def client() -> None:
        while time.perf_counter() - begun < given.seconds and (number := next(numbers, None)) is not None:
            load.records[number] = await service.stream(number, given.tokens)

    async def watch() -> None:
        while True:
            load.memory.append(resident(service.process))
            await asyncio.sleep(given.seconds / 120)

    watching = asyncio.ensure_future(watch())
    await asyncio.gather(*(client() for _ in range(given.streams)))
    load.seconds, load.cpu_seconds = time.perf_counter() - begun, cpu_seconds(service.process) - worked
    watching.cancel()
    return load


async def one_by_one(service: Service, numbers: Sequence[int], most: int) -> Load:
    begun, worked = time.perf_counter(), cpu_seconds(service.process)
    records = {number: await service.stream(number, most) for number in numbers}
    return Load(records, time.perf_counter() - begun, cpu_seconds(service.process) - worked)


def resident(process: int) -> float:
    """Return the memory of a process, MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def cpu_seconds(process: int) -> float:
    """Return how long a process has been at work on the CPU."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(service: Service, given: argparse.Namespace) -> None:
    await service.begin()
    single = range(given.requests, given.requests + SINGLE)
    await one_by_one(service, single, given.tokens)  # whatever is done once has been done
    at_rest = await one_by_one(service, single, given.tokens)
    load = await together(service, given)
    again = await one_by_one(service, sorted(load.records)[: given.again], given.tokens)
    same = {number: each for number, each in load.records.items() if number in again.records}
    if differing := [number for number, each in same.items() if each.text != again.records[number].text]:
        raise SystemExit(f"requests {differing} have another text alone than among others")
    health = await service.get("/health")
    if any(health[name] for name in ("streams", "sequences_busy", "sequences_waiting")):
        raise SystemExit(f"something is not free at the end: {health}")
    rows = [
        at_rest.row("one stream at a time"),
        load.row(f"{given.streams} streams at once"),
        again.row("the first of them once more, one after another"),
    ]
    times = ["first token, ms: p50", "p99", "a token, ms: p50", "p99"]
    print(markdown(["load", "streams", "tokens", *times, "tokens/s", "server's CPU, ms a token"], rows))
    refused = sum(each.refused for each in load.records.values())
    print(
        f"{load.seconds:.1f} s of load; each of {len(load.records):,} streams were complete, {refused} refused first "
        f"(429). {len(same)} of them once more, alone: the same texts.\n"
    )
    print(memory(load.memory))


def memory(found: list[float]) -> str:
    """Say whether the memory is flat."""
    sixth = max(1, len(found) // 6)
    early, late = statistics.mean(found[sixth : 2 * sixth] or found), statistics.mean(found[-sixth:])
    flat = "flat" if late <= early * (1 + FLAT) else "NOT FLAT"
    means = f"{early:.1f} MB in the second sixth, {late:.1f} MB in the last"
    return f"Memory of the server: {means}, {max(found):.1f} MB at most: {flat}."


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", nargs="?", help="made by `elman train` (default: a small one is trained)")
    parser.add_argument("--streams", type=int, default=64, help="at once (default 64)")
    parser.add_argument("--seconds", type=float, default=60, help="of load (default 60)")
    parser.add_argument("--requests", type=int, default=20_000, help="at most (default 20,000)")
    parser.add_argument(
        "--tokens", type=int, default=200, help="of a stream, at most; a quarter at least (200)"
    )
    parser.add_argument("--again", type=int, default=64, help="requests to repeat alone (default 64)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = given.run or str(Path(folder, "rooms"))
        if given.run is None:
            subprocess.run(elman(*TRAINING, "--iterations", "500", "-q", "-o", run), check=True)
        serve = elman("serve", run, "--port", "0", "--max-streams", str(given.streams))
        server = subprocess.Popen(serve, stderr=subprocess.PIPE, text=True)
        try:
            assert server.stderr is not None
            greeting = server.stderr.readline()
            if " at http" not in greeting:
                raise SystemExit(greeting + server.stderr.read())
            address = greeting.partition(" at ")[2].partition(";")[0]
            print(f"# Serving {given.run or ' '.join(TRAINING)}: `{' '.join(serve[1:])}`\n")
            print(markdown(["machine", ""], [[key, str(value)] for key, value in describe().items()]))
            asyncio.run(measure(Service(address, server.pid), given))
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
