"""The influence of the name on the greeting: `python benchmarks/influence.py GRU_RUN RNN_RUN`.

The runs are those of `elman demo` (demo/gru and demo/rnn). Prints, for lines of the world rooms whose greeted name was
read 15 words or more before, by how many bits another name there changes the answer, and in how many of the lines the
GRU's is over 5 and the RNN's under 0.5. Some seconds.
"""

import sys
from typing import NamedTuple

import numpy as np

from elman import TextModel, World, influence, load
from run import table

LINES, LEAST = 20, 15  # lines, and the least distance of their names
OVER, UNDER = 5.0, 0.5  # bits
SEED, WORDS = 5, 20_000


class NameInfluence(NamedTuple):
    """The influence of the name in bits, the probability of the answer, and the most influential word with its bits."""

    bits: float
    answer: float
    most: str
    words_back: int
    most_bits: float


def main() -> None:
    gru, rnn = (load(run) for run in sys.argv[1:3])
    lines = greetings()
    pairs = [(of_name(gru, *each), of_name(rnn, *each)) for each in lines]
    rows = [
        [line.split()[0], str(position), *columns(of_gru, 2), *columns(of_rnn, 3)]
        for (line, position), (of_gru, of_rnn) in zip(lines, pairs, strict=True)
    ]
    table(["name", "words back", "GRU, bits", "P", "most", "RNN, bits", "P", "most"], rows)
    known, unknown = counts(pairs)
    print(f"\nGRU over {OVER:g} bits: {known} of {LINES}; RNN under {UNDER:g} bits: {unknown} of {LINES}")


def counts(pairs: list[tuple[NameInfluence, NameInfluence]]) -> tuple[int, int]:
    """Return in how many lines the influence in the GRU is over 5 bits, and in how many the RNN's is under 0.5."""
    return sum(gru.bits > OVER for gru, _ in pairs), sum(rnn.bits < UNDER for _, rnn in pairs)


def greetings() -> list[tuple[str, int]]:
    """Return different lines, and the position of the name that is greeted."""
    world, found = World(), {}
    for line in world.text(WORDS, np.random.default_rng(SEED)).splitlines():
        position = int(world.distance([*line.split(), "<eos>"]).max())
        if position >= LEAST and len(found) < LINES:
            found[line] = position
    return list(found.items())


def of_name(text_model: TextModel, line: str, position: int) -> NameInfluence:
    """Return the influence of the first word of a line on that at ``position``, which is the same name."""
    found = influence(text_model, line, position)
    most = int(np.argmax(found.bits))
    answer = 2**-found.surprisal_bits
    return NameInfluence(found[0].bits, answer, found[most].token, position - most, found[most].bits)


def columns(found: NameInfluence, digits: int) -> list[str]:
    most = f"{found.most}, {found.words_back} back: {found.most_bits:.2f}"
    return [f"{found.bits:.{digits}f}", f"{found.answer:.1%}", most]


if __name__ == "__main__":
    main()
