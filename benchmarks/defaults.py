"""What `elman train` chooses, beside the fixed defaults: ``python benchmarks/defaults.py [--time-budget 60s]``.

Five texts, each cut into a part to train on and a later part to measure on (5 %; ten lines for ten lines). Texts come
from $ELMAN_DATA, except the log, which is generated. Both trainings get the same time.
"""

import argparse
import datetime
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elman.text.vocabulary import UNK, Vocabulary
from elman.text_model import load

LOG_BYTES = 1_000_000


def elman(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "elman", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done


def server_log(size: int) -> str:
    """Return so many bytes of log lines with time stamps, addresses and keys; always the same."""
    rng, clock, lines, length = random.Random(0), 1.7e9, [], 0
    while length < size:
        clock += rng.expovariate(1.0)
        stamp = datetime.datetime.fromtimestamp(clock, datetime.UTC).isoformat(timespec="milliseconds")
        what = rng.choice(
            [
                f"GET {rng.choice(['/', '/login', '/api/v1/items', '/static/app.js'])} {rng.choice([200, 304, 404])} "
                f"in {rng.expovariate(0.05):.3f} ms",
                f"worker-{rng.randrange(8)} started job {rng.getrandbits(32):08x}",
                f"connection from 10.0.{rng.randrange(4)}.{rng.randrange(256)}:{rng.randrange(1024, 65536)} closed",
                f"cache miss key=user:{rng.randrange(5000)} size={rng.randrange(100_000)}",
            ]
        )
        lines.append(
            f"{stamp} {rng.choice(['INFO', 'INFO', 'DEBUG', 'WARN'])} [{rng.choice(['http', 'db', 'queue'])}] {what}\n"
        )
        length += len(lines[-1])
    return "".join(lines)


def cut(text: str, fraction: float = 0.05) -> tuple[str, str]:
    """Return a text without its last lines, and these."""
    at = text.index("\n", int(len(text) * (1 - fraction))) + 1
    return text[:at], text[at:]


def texts(data: Path) -> Iterator[tuple[str, str, str]]:
    """Write each corpus and its held-out text; yield what it is and the names of both."""
    novel = (data / "warandpeace" / "warandpeace.txt").read_bytes()[:300_000].decode("utf-8", "ignore")
    korean = (data / "korean" / "fairytale01.txt").read_text(encoding="utf-8")
    log = server_log(LOG_BYTES)
    lines = [line for line in novel[100_000:].splitlines(keepends=True) if line.strip()]
    whole = {
        "ten lines of War and Peace": ("".join(lines[:10]), "".join(lines[10:20])),
        "300 KB of War and Peace": cut(novel),
        "a server's log, 1 MB": cut(log),
        "Korean tales, 400 KB": cut(korean),
    }
    for what, (learnt, held) in whole.items():
        Path("learnt.txt").write_text(learnt, encoding="utf-8")
        Path("held-out.txt").write_text(held, encoding="utf-8")
        yield what, "learnt.txt", "held-out.txt"
    parts = {
        "novel.md": cut(novel[:150_000]),
        "server.log": cut(log[:100_000]),
        "tales/korean": cut(korean[:30_000]),
    }
    for name, (learnt, _) in parts.items():
        path = Path("folder", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(learnt, encoding="utf-8")
    Path("folder", "picture.png").write_bytes(b"\x89PNG\0")
    Path("held-out.txt").write_text("".join(held for _, held in parts.values()), encoding="utf-8")
    yield "a folder: 150 KB novel, 100 KB log, 30,000 characters Korean", "folder", "held-out.txt"


def spelling_bits(level: str, vocabulary: Vocabulary, held: str) -> float:
    """Return bits to spell the unknown tokens of a text: 7 a character of a word and its end, 21 for one alone."""
    if level == "word":
        return sum(7.0 * (len(word) + 1) for word in held.split() if word not in vocabulary or word == UNK)
    return sum(21.0 for character in held if character not in vocabulary) if level == "char" else 0.0


def measured(run: str, held: str) -> list[str]:
    """Return the columns for a run: the model, perplexity per token, unknown tokens, bits per character, spelt too."""
    found: dict[str, Any] = json.loads(elman("eval", run, held, "--json").stdout)
    options = tomllib.loads(Path(run, "config.toml").read_text(encoding="utf-8"))["options"]
    bits = math.inf if found["bits_per_char"] is None else float(found["bits_per_char"])
    extra = spelling_bits(options["level"], load(run).vocabulary, Path(held).read_text(encoding="utf-8"))
    perplexity = found["perplexity"] if math.isfinite(bits) else math.inf
    return [
        f"{options['level']}, {options['cell']} {options['layers']}×{options['hidden']}, V {found['vocab_size']:,}",
        f"{perplexity:.2f}",
        f"{found['unknown_tokens'] / found['tokens']:.1%}",
        f"{bits:.3f}",
        f"{bits + extra / found['characters']:.3f}",
    ]


def main() -> None:
    """Train, measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time-budget", default="60s")
    budget = parser.parse_args().time_budget
    data = Path(os.environ["ELMAN_DATA"]).absolute()
    print(f"`elman train TEXT -o RUN --time-budget {budget}`; fixed: the same with `--no-choose`\n")
    head = [
        "text",
        "defaults",
        "model",
        "perplexity per token",
        "unknown",
        "bits per character",
        "unknown spelt",
    ]
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for what, corpus, held in texts(data):
            for kind, flags in (("chosen", []), ("fixed", ["--no-choose"])):
                given = ("-o", "run", "--overwrite", "--time-budget", budget, "-q", *flags)
                done = elman("train", corpus, *given)
                print(f"| {what} | {kind} | {' | '.join(measured('run', held))} |", flush=True)
                print(f"{what}, {kind}:\n{done.stderr}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
