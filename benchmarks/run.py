"""Rerun the tables of RESULTS.md: `python benchmarks/run.py [NAME ...]`.

Each result is made by the commands that the table shows, in a temporary folder. Corpora come from
$ELMAN_DATA (see `elman data`); those that are not there are skipped, saying so.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from elman import SGD, RnnlmTrainer, SimpleRnnlm, World, load
from elman import ptb as ptb_words
from elman.evaluation.rooms import top1_accuracy

SEEDS = range(5)
EPOCHS = (1, 10, 30, 50, 75, 100)


def elman(*arguments: str) -> str:
    """Run the command; return what it prints on standard output."""
    command = [sys.executable, "-m", "elman", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def metrics(run: str, kind: str) -> Iterator[dict[str, Any]]:
    for line in Path(run, "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        if values["kind"] == kind:
            yield values


def table(head: list[str], rows: list[list[Any]]) -> None:
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print(flush=True)


def corpus(name: str, file: str) -> Path | None:
    folder = os.environ.get("ELMAN_DATA")
    path = Path(folder, name, file) if folder else None
    if path is None or not path.is_file():
        print(f"(skipped: $ELMAN_DATA/{name}/{file} is not there)\n")
        return None
    return path


def hold_out(path: Path, fraction: float = 0.1) -> tuple[str, str]:
    """Write the first 90 % and the last 10 % of a text's characters to two files."""
    text = path.read_text(encoding="utf-8")
    cut = int(len(text) * (1 - fraction))
    Path("train.txt").write_text(text[:cut], encoding="utf-8")
    Path("held-out.txt").write_text(text[cut:], encoding="utf-8")
    return "train.txt", "held-out.txt"


def textbook() -> None:
    """Reference run 1: perplexity of the training text during epochs 1, 10, 30, 50, 75, 100."""
    if corpus("ptb", "ptb.train.txt") is None:
        return
    print(
        "`SimpleRnnlm(418, 100, 100)` after `np.random.seed(SEED)`, trained by `RnnlmTrainer` with `SGD(0.1)`"
    )
    print("on the first 1000 words of PTB, `batch_size=10, time_size=5`: perplexity after epoch\n")
    words = ptb_words.load_data("train")[0][:1000]
    rows = []
    for seed in SEEDS:
        np.random.seed(seed)
        trainer = RnnlmTrainer(SimpleRnnlm(418, 100, 100), SGD(0.1))
        began = time.perf_counter()
        trainer.fit(words[:-1], words[1:], 100, 10, 5, eval_interval=None)
        rows.append(_epochs_row(seed, trainer.ppl_list, time.perf_counter() - began))
    table(["seed", *map(str, EPOCHS), "seconds"], rows)

    print("`elman train ptb --recipe textbook --seed SEED -o RUN`: the same with other random numbers\n")
    rows = []
    for seed in SEEDS:
        began = time.perf_counter()
        elman("train", "ptb", "--recipe", "textbook", "--seed", str(seed), "-o", f"textbook-{seed}", "-q")
        found = [e["perplexity"] for e in metrics(f"textbook-{seed}", "epoch")]
        rows.append(_epochs_row(seed, found, time.perf_counter() - began))
    table(["seed", *map(str, EPOCHS), "seconds, start and files included"], rows)


def _epochs_row(seed: int, perplexities: list[float], seconds: float) -> list[Any]:
    return [seed, *(f"{perplexities[epoch - 1]:.2f}" for epoch in EPOCHS), f"{seconds:.1f}"]


def min_char_rnn() -> None:
    """Reference run 2: smooth loss, nats summed over 25 characters."""
    if corpus("kafka", "kafka.txt") is None:
        return
    iterations = (1000, 2000, 5000, 10000, 20000)
    print("`elman train kafka --recipe min-char-rnn --seed SEED -o RUN`: smooth loss after iteration\n")
    rows = []
    for seed in SEEDS:
        began = time.perf_counter()
        elman("train", "kafka", "--recipe", "min-char-rnn", "--seed", str(seed), "-o", f"kafka-{seed}", "-q")
        seconds = time.perf_counter() - began
        found = {e["iteration"]: e["smooth_loss"] for e in metrics(f"kafka-{seed}", "interval")}
        rows.append([seed, *(f"{found[i]:.2f}" for i in iterations), f"{seconds:.1f}"])
    table(["seed", *map(str, iterations), "seconds in all"], rows)


def rooms() -> None:
    """The cells on the world rooms: test perplexity next to the exact optimum, and separate lines of answers."""
    options = ["--wordvec", "32", "--hidden", "64", "--time-size", "50"]
    options += ["--schedule", "cosine", "--embedding-scale", "0.5", "--epochs", "16"]
    print(
        f"`elman train CORPUS --cell CELL --lr LR {' '.join(options)} -o RUN`, then `elman eval RUN CORPUS`;"
    )
    print("right answers by `elman.evaluation.rooms.share_right` over 5,000 words of new lines\n")
    rows = []
    for name, cell, lr, *more in (
        ("rooms", "rnn", "0.005"),
        ("rooms", "lstm", "0.01"),
        ("rooms", "gru", "0.01"),
        ("rooms", "gru", "0.01", "--no-fresh-lines"),
        ("rooms-ko", "gru", "0.01"),
    ):
        run = "-".join([name, cell, *more])
        elman("train", name, "--cell", cell, "--lr", lr, *options, *more, "-o", run, "-q")
        found = json.loads(elman("eval", run, name, "--json"))
        seconds = max(e["seconds"] for e in metrics(run, "epoch"))
        world = World("ko" if name.endswith("ko") else "en")
        right = top1_accuracy(load(run), world, world.text(5_000, np.random.default_rng(0)).splitlines())
        optimum = f"{found['lowest_possible_perplexity']:.4f}"
        shown = [name, " ".join([cell, *more]), lr, f"{found['perplexity']:.4f}", optimum]
        rows.append([*shown, f"{right:.1%}", f"{seconds:.0f}"])
    table(["corpus", "cell", "lr", "perplexity", "lowest possible", "right answers", "seconds"], rows)


def ptb() -> None:
    """One epoch of the small word model on the whole of the Penn Treebank."""
    if corpus("ptb", "ptb.train.txt") is None:
        return
    elman("train", "ptb", "--recipe", "word-lstm", "--epochs", "1", "-o", "ptb", "-q")
    _held_out_table(
        "elman train ptb --recipe word-lstm --epochs 1 -o RUN", "elman eval RUN ptb", "ptb", "ptb"
    )
    print(
        "```\n" + elman("generate", "ptb", "--length", "60", "--seed", "1", "--temperature", "0.8") + "```\n"
    )


def shakespeare() -> None:
    """The character recipe on Shakespeare's plays, the last 10 % held out."""
    path = corpus("tinyshakespeare", "input.txt")
    if path is not None:
        _characters(path, "shakespeare")


def korean() -> None:
    """The character recipe on Korean news, the last 10 % held out."""
    path = corpus("korean", "wikinews.txt")
    if path is not None:
        _characters(path, "korean", "--epochs", "8", "--min-count", "2")


def _characters(path: Path, run: str, *options: str) -> None:
    train, held_out = hold_out(path)
    arguments = ["train", train, "--valid", held_out, "--recipe", "char-lstm", *options]
    elman(*arguments, "-o", run, "-q")
    _held_out_table(f"elman {' '.join(arguments)} -o RUN", f"elman eval RUN {held_out}", run, held_out)
    print(
        "```\n" + elman("generate", run, "--length", "300", "--seed", "1", "--temperature", "0.8") + "```\n"
    )


def _held_out_table(train: str, evaluate: str, run: str, text: str) -> None:
    found = json.loads(elman("eval", run, text, "--json"))
    last = max(metrics(run, "epoch"), key=lambda e: e["epoch"])
    print(f"`{train}`, then `{evaluate}` (seed 0)\n")
    row = {
        f"perplexity per {found['unit']}": _finite(found["perplexity"]),
        "per known token": f"{found['perplexity_known_tokens']:.3f}",
        "bits per character": _finite(found["bits_per_char"]),
        "tokens": f"{found['tokens']:,}",
        "unknown": found["unknown_tokens"],
        "V": f"{found['vocab_size']:,}",
        "seconds of training": f"{last['seconds']:.0f}",
    }
    table(list(row), [list(row.values())])


def _finite(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.3f}"


TABLES: dict[str, Callable[[], None]] = {
    f.__name__.replace("_", "-"): f for f in (textbook, min_char_rnn, rooms, ptb, shakespeare, korean)
}


def main() -> None:
    names = sys.argv[1:] or list(TABLES)
    if unknown := [name for name in names if name not in TABLES]:
        raise SystemExit(f"no table {unknown[0]!r}; choose from {', '.join(TABLES)}")
    cpu = platform.processor() or platform.machine()
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    print(
        f"Machine: {os.cpu_count()} cores, {model[0].split(': ')[1] if model else cpu}, NumPy {np.__version__}\n"
    )
    for name in names:
        print(f"## {name}\n\n{(TABLES[name].__doc__ or '').strip()}\n", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            before = Path.cwd()
            os.chdir(folder)
            try:
                TABLES[name]()
            finally:
                os.chdir(before)


if __name__ == "__main__":
    main()
