"""Train the recipes and print what they reach: `python benchmarks/recipes.py [NAME ...] [-o FOLDER]`.

Every figure is made by the commands that stand above it, run in FOLDER. A run that is there already is resumed, or
only measured. Corpora come from $ELMAN_DATA; a recipe whose corpus is not there is skipped, saying so. All of them
together take about nine hours on two cores. `python benchmarks/recipes.py ablation` runs the changes of the recipe
`ptb`, 15 minutes each.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORPORA = os.environ.get("ELMAN_DATA", "")


@dataclass(frozen=True)
class Trial:
    """The commands that train a model, measure it and let it write; ``prepare`` makes the texts they name."""

    train: str
    measure: tuple[str, ...]
    sample: str = ""
    needs: str = "ptb/ptb.train.txt"
    prepare: Callable[[Path], None] = lambda path: None


def hold_out(path: Path) -> None:
    """Write the first 90 % and the last 10 % of a text's characters to NAME-train.txt and NAME-test.txt."""
    text = path.read_text(encoding="utf-8")
    cut = int(len(text) * 0.9)
    name = path.parent.name
    Path(f"{name}-train.txt").write_text(text[:cut], encoding="utf-8")
    Path(f"{name}-test.txt").write_text(text[cut:], encoding="utf-8")


def without_margins(path: Path) -> None:
    """Write the three texts of PTB without the spaces at both ends of their lines, as ptb-chars-SPLIT.txt."""
    for split in ("train", "valid", "test"):
        lines = path.with_name(f"ptb.{split}.txt").read_text(encoding="utf-8").splitlines()
        text = "".join(line.strip() + "\n" for line in lines)
        Path(f"ptb-chars-{split}.txt").write_text(text, encoding="utf-8")


def on_ptb(recipe: str) -> Trial:
    return Trial(
        f"elman train ptb --recipe {recipe} -o {recipe}",
        (f"elman eval {recipe} ptb --split valid", f"elman eval {recipe} ptb"),
        f"elman generate {recipe} --length 60 --temperature 0.8 --seed 1",
    )


def changed(run: str, options: str) -> Trial:
    """The recipe `ptb` with other options, for 15 minutes; measured on the validation text only."""
    command = " ".join(f"elman train ptb --recipe ptb {options} --time-budget 15m -o {run}".split())
    return Trial(command, (f"elman eval {run} ptb --split valid",))


def held_out(run: str, recipe: str, file: str, options: str = "") -> Trial:
    """A recipe on the first 90 % of a text, all of it; measured on the other 10 %."""
    name = Path(file).parent.name
    return Trial(
        f"elman train {name}-train.txt --valid none --recipe {recipe} {options}-o {run}",
        (f"elman eval {run} {name}-test.txt",),
        f"elman generate {run} --length 300 --temperature 0.8 --seed 1",
        file,
        hold_out,
    )


ADAPTED = "--dynamic --dynamic-lr 0.003 --neural-cache 1000 --theta 0.8 --cache-weight 0.1"
TRIALS = {
    "ptb": on_ptb("ptb"),
    "ptb-rnn": on_ptb("ptb-rnn"),
    "ptb-lstm": on_ptb("ptb-lstm"),
    "ptb-best": on_ptb("ptb-best"),
    "kn5": Trial(
        "elman train ptb --model ngram --order 5 -o kn5",
        ("elman eval kn5 ptb --split valid", "elman eval kn5 ptb"),
        "elman generate kn5 --length 60 --seed 1",
    ),
    "ptb-all": Trial(
        f"elman mix ptb-best kn5 --tune ptb {ADAPTED} -o ptb-all",
        (f"elman eval ptb-all ptb --split valid {ADAPTED}", f"elman eval ptb-all ptb {ADAPTED}"),
    ),
    "wikitext-2": Trial(
        "elman train wikitext-2 --recipe wikitext-2 -o wikitext-2",
        (
            "elman eval wikitext-2 wikitext-2 --split valid",
            "elman eval wikitext-2 wikitext-2",
            "elman eval wikitext-2 wikitext-2 --neural-cache 8000 --theta 1.2 --cache-weight 0.25",
        ),
        "elman generate wikitext-2 --length 60 --temperature 0.8 --seed 1",
        "wikitext-2/train.txt",
    ),
    "shakespeare-3m": held_out("shakespeare-3m", "chars", "tinyshakespeare/input.txt"),
    "shakespeare-15m": held_out(
        "shakespeare-15m",
        "chars",
        "tinyshakespeare/input.txt",
        "--hidden 256 --dropout 0.1 --lr 0.005 --time-budget 14m ",
    ),
    "ptb-chars": Trial(
        "elman train ptb-chars-train.txt --valid ptb-chars-valid.txt --recipe ptb-chars -o ptb-chars",
        ("elman eval ptb-chars ptb-chars-valid.txt", "elman eval ptb-chars ptb-chars-test.txt"),
        "elman generate ptb-chars --length 300 --temperature 0.8 --seed 1",
        prepare=without_margins,
    ),
    "korean-chars": held_out("korean-chars", "chars", "korean/wikinews.txt", "--min-count 2 "),
    "korean-bytes": held_out("korean-bytes", "bytes", "korean/wikinews.txt"),
    "korean-subwords": held_out("korean-subwords", "subwords", "korean/wikinews.txt"),
}
ABLATION = {
    "as-it-is": "",
    "untied": "--no-tie-weights",
    "full-softmax": "--softmax full",
    "no-dropout": "--dropout 0 --input-dropout 0 --output-dropout 0 --embedding-dropout 0",
    "more-dropout": "--dropout 0.35 --input-dropout 0.4 --output-dropout 0.5 --embedding-dropout 0.1",
    "dropout-per-step": "--dropout-mask step",
    "penalties": "--activation-penalty 2 --temporal-penalty 1",
    "averaged": "--averaging tail",
    "larger-batches": "--batch-size 64 --lr 0.007",
    "mogrifier": "--cell mogrifier",
    "lstm": "--cell lstm",
    "lstm-dropconnect": "--cell lstm --recurrent-dropout 0.2",
}
TRIALS |= {name: changed(name, options) for name, options in ABLATION.items()}


def run(command: str) -> str:
    """Run a command line; return what it prints on standard output."""
    print(f"$ {command}", file=sys.stderr, flush=True)
    words = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(words, check=False, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"{command}: exit code {done.returncode}")
    return done.stdout


def train(command: str) -> None:
    """Train, or resume what an earlier, interrupted call of this program started."""
    folder = shlex.split(command)[-1]
    begun = Path(folder, "last.safetensors").exists() or Path(folder, "model.safetensors").exists()
    if not begun:
        run(f"{command} -q")
    elif Path(folder, "last.safetensors").exists():
        run(f"elman train --resume {folder} -q")


def describe_training(folder: str) -> str:
    """Return in words how much the run has read, for how long and how fast; validation is part of the time."""
    lines = Path(folder, "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    events = list(map(json.loads, lines))
    epochs = [event for event in events if event["kind"] == "epoch"]
    if not epochs:
        return "counted"
    options, text = events[0]["options"], events[0]["tokens"]
    tokens = epochs[-1]["iteration"] * options["batch_size"] * options["time_size"]
    seconds = epochs[-1]["seconds"]
    return f"{tokens / text:.1f} epochs, {seconds / 60:.1f} min, {tokens / seconds:,.0f} tokens/s"


def show(trial: Trial) -> None:
    """Make the trial's run and print its figures."""
    train(trial.train)
    folder = shlex.split(trial.train)[-1]
    print(f"`{trial.train}` ({describe_training(folder)})\n")
    print("| command | perplexity | bits per character | tokens | unknown |\n|" + " --- |" * 5)
    for command in trial.measure:
        found: dict[str, Any] = json.loads(run(f"{command} --json"))
        known = f"{found['perplexity_known_tokens']:.2f} (known)"
        perplexity = known if found["perplexity"] is None else f"{found['perplexity']:.2f}"
        bits = "–" if found["bits_per_char"] is None else f"{found['bits_per_char']:.3f}"
        cells = (f"`{command}`", f"{perplexity} per {found['unit']}", bits, f"{found['tokens']:,}")
        print(f"| {' | '.join(cells)} | {found['unknown_tokens']:,} |", flush=True)
    if trial.sample:
        print(f"\n`{trial.sample}`:\n\n```\n{run(trial.sample).rstrip()}\n```")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "names", nargs="*", help=f"of {', '.join(TRIALS)}, or ablation; all of them unless given"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("recipes"), help="where the runs are")
    given = parser.parse_args()
    names = [each for name in given.names for each in (ABLATION if name == "ablation" else [name])]
    if unknown := [name for name in names if name not in TRIALS]:
        parser.error(f"no recipe {unknown[0]!r}; choose from {', '.join(TRIALS)}")
    given.output.mkdir(parents=True, exist_ok=True)
    os.chdir(given.output)
    for name in names or TRIALS:
        print(f"## {name}\n")
        trial = TRIALS[name]
        corpus = Path(CORPORA, trial.needs)
        if not CORPORA or not corpus.is_file():
            print(f"(skipped: $ELMAN_DATA/{trial.needs} is not there)\n")
            continue
        trial.prepare(corpus)
        show(trial)


if __name__ == "__main__":
    main()
