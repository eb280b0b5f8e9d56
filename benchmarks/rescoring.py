"""Train models for speech and rescore LibriSpeech's n-best lists: `python benchmarks/rescoring.py [-o FOLDER]`.

Every figure is made by the commands that are printed above it, run in FOLDER. Texts and lists come from
$ELMAN_DATA: each folder of librispeech-nbest that has `nbest.tsv` and `ref.txt` is measured. A model that is there
already is not trained again. Needs `pip install 'elman[fast,rescore,speech,lexicon]'`. Training takes
40 minutes, each way to measure less than half a minute for every list, or a minute if the state is carried.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from tables import markdown
from watched import elman

BOOKS = "gutenberg"  # a folder of books, none of which the lists quote
WIKI = "wikitext-2/train.txt"
WAYS = {
    "4-gram": "elman rescore kn4 {list}",
    "network": "elman rescore network {list}",
    "network, carried": "elman rescore network {list} --carry",
    "both": "elman rescore network {list} --with kn4",
    "both, carried": "elman rescore network {list} --with kn4 --carry",
    "4-gram, lexicon": "elman rescore kn4 {list} --lexicon wordfreq",
    "network, lexicon": "elman rescore network {list} --lexicon wordfreq",
    "network, lexicon, carried": "elman rescore network {list} --lexicon wordfreq --carry",
    "both, lexicon": "elman rescore network {list} --with kn4 --lexicon wordfreq",
    "both, lexicon, carried": "elman rescore network {list} --with kn4 --lexicon wordfreq --carry",
}


def train(folder: Path, data: Path) -> None:
    """Write the text, and train the models that are not there yet."""
    books = " ".join(map(str, sorted((data / BOOKS).glob("*.txt"))))
    for name, command in (
        ("speech.txt", f"elman normalise {books} {data / WIKI} -o speech.txt --valid-output valid.txt"),
        ("kn4", "elman train speech.txt --valid valid.txt --model ngram --order 4 -o kn4"),
        ("network", "elman train speech.txt --valid valid.txt --recipe speech -o network"),
    ):
        if not (folder / name).exists():
            run(folder, command)


def run(folder: Path, command: str) -> str:
    """Print a command and how long it took, and return what it wrote to standard output."""
    began = time.perf_counter()
    words = shlex.split(command)[1:]
    written = subprocess.run(elman(*words), cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(f"{command}  # {time.perf_counter() - began:,.0f} s", flush=True)
    return written


def measured(folder: Path, command: str) -> list[str]:
    """Return two cells of a table: the word error rate on what λ and β were not tuned on, and the gain."""
    result = json.loads(run(folder, f"{command} --json").splitlines()[-1])
    interval = f"{result['gain_low']:.1%} to {result['gain_high']:.1%}"
    return [f"{result['rescored_wer']:.2%}", f"{result['gain']:.2%} ({interval})"]


def main() -> None:
    """Train, rescore and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("runs/speech"), help="the folder to work in"
    )
    parser.add_argument(
        "--only", action="append", choices=list(WAYS), help="measure this way only; may be repeated"
    )
    arguments = parser.parse_args()
    if not os.environ.get("ELMAN_DATA"):
        sys.exit("set ELMAN_DATA to the folder of the corpora")
    data, folder = Path(os.environ["ELMAN_DATA"]).absolute(), arguments.output
    lists = sorted(path.parent for path in (data / "librispeech-nbest").glob("*/nbest.tsv"))
    if not lists:
        sys.exit(f"there are no n-best lists in {data / 'librispeech-nbest'}")
    folder.mkdir(parents=True, exist_ok=True)
    train(folder, data)
    rows = []
    for way in arguments.only or WAYS:
        row = [way]
        for each in lists:
            row += measured(folder, WAYS[way].format(list=f"{each / 'nbest.tsv'} --ref {each / 'ref.txt'}"))
        rows.append(row)
    head = [cell for each in lists for cell in (each.name, "gain (95 %)")]
    print("\n" + markdown(["models", *head], rows), end="")


if __name__ == "__main__":
    main()
