"""Windows against recurrence in the world rooms: `python benchmarks/rooms.py`.

Trains six models by the commands that it prints, and measures each on a text of the world that none has read: the
perplexity of all words, and that of the answers by their distance. Prints the tables of RESULTS.md and draws
docs/images/rooms-distance.png. About two minutes on a quiet core (OPENBLAS_NUM_THREADS=1).
"""

import os
import tempfile
from pathlib import Path

import numpy as np

from elman import RoomsTruth, TextModel, World, evaluate, load, make_tokenizer
from elman.evaluation.perplexity import perplexity_of
from elman.evaluation.rooms import Distances, answer_nlls, by_distance
from elman.plots import plot_by_distance
from run import elman, table

WINDOW = 20
WORDS = 100_000
PICTURE = Path(__file__).parent.parent / "docs" / "images" / "rooms-distance.png"
SCHOOL = "--time-size 50 --schedule cosine --embedding-scale 0.5"
OPTIONS = {
    "n-gram, order 5": "--model ngram --order 5",
    f"CBOW, {WINDOW} words": f"--model cbow --window {WINDOW} --wordvec 64 --lr 0.01 --epochs 16 {SCHOOL}",
    f"NPLM, {WINDOW} words": f"--model nplm --window {WINDOW} --wordvec 32 --hidden 64 --lr 0.005 --epochs 8 {SCHOOL}",
    "RNN": f"--cell rnn --wordvec 32 --hidden 64 --init orthogonal --lr 0.002 --epochs 16 {SCHOOL}",
    "LSTM": f"--cell lstm --wordvec 32 --hidden 64 --lr 0.01 --epochs 16 {SCHOOL}",
    "GRU": f"--cell gru --wordvec 32 --hidden 64 --lr 0.01 --epochs 16 {SCHOOL}",
}
OPTIMUM = "exact optimum"
SHOWN = (13, 17, 21, 25, 33, 41)  # the least of the distances in the table


def main() -> None:
    world = World()
    text = world.text(WORDS, np.random.default_rng(0))
    models: dict[str, list[Distances]] = {}
    rows = []

    def measure(name: str, text_model: TextModel, seconds: str) -> None:
        distances, nlls = answer_nlls(text_model, world, text)
        spans = models[name] = by_distance(distances, nlls)
        _, ids = text_model.encode(text)
        found = [evaluate(text_model.model, ids, eos=text_model.start_id).perplexity]
        found += [perplexity_of(nlls.mean()), *(s.perplexity for s in spans if s.least in SHOWN)]
        rows.append([name, *(f"{value:.{3 if value is found[0] else 2}f}" for value in found), seconds])

    print("Each after `elman train rooms OPTIONS -o RUN`:\n")
    table(["model", "OPTIONS"], [[name, f"`{options}`"] for name, options in OPTIONS.items()])
    with tempfile.TemporaryDirectory() as folder:
        for k, (name, options) in enumerate(OPTIONS.items()):
            run = f"{folder}/{k}"
            began = cpu_seconds()
            elman("train", "rooms", *options.split(), "-o", run, "-q")
            measure(name, trained := load(run), f"{cpu_seconds() - began:.0f}")
    vocabulary = trained.vocabulary
    truth = RoomsTruth(world, vocabulary.tokens)
    measure(OPTIMUM, TextModel(truth, make_tokenizer("word"), vocabulary), "–")
    spans = models.pop(OPTIMUM)
    heads = [f"{s.least}–{s.most}" for s in spans if s.least in SHOWN]
    table(["model", "all words", "all answers", *heads, "seconds of one core"], rows)
    counts = ", ".join(f"{s.answers:,} of {s.least}–{s.most}" for s in spans)
    print(f"Answers by their distance in words: {counts}.")
    plot_by_distance(models, PICTURE, WINDOW, max(s.perplexity for s in spans))


def cpu_seconds() -> float:
    """Return the time that this program's commands have computed, which other work on the machine does not change."""
    spent = os.times()
    return spent.children_user + spent.children_system


if __name__ == "__main__":
    main()
