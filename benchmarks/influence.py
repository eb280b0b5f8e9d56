"""The influence of the name on the greeting: `python benchmarks/influence.py GRU_RUN RNN_RUN`.

The runs are those of `elman demo` (demo/gru and demo/rnn). Prints, for lines of the world rooms whose greeted name was
read 15 words or more before, by how many bits another name there changes the answer, and in how many of the lines the
GRU's is over 5 and the RNN's under 0.5. Some seconds.
"""

import sys

import numpy as np

from elman import TextModel, World, influence, load
from run import table

LINES, LEAST = 20, 15  # lines, and the least distance of their names
OVER, UNDER = 5.0, 0.5  # bits
SEED, WORDS = 5, 20_000


def main() -> None:
    gru, rnn = (load(run) for run in sys.argv[1:3])
    rows, known, unknown = [], 0, 0
    for line, position in greetings():
        (of_gru, *numbers), (of_rnn, *others) = (measured(each, line, position) for each in (gru, rnn))
        known, unknown = known + (of_gru > OVER), unknown + (of_rnn < UNDER)
        rows.append([line.split()[0], str(position), f"{of_gru:.2f}", *numbers, f"{of_rnn:.3f}", *others])
    table(["name", "words back", "GRU, bits", "P", "most", "RNN, bits", "P", "most"], rows)
    print(f"\nGRU over {OVER:g} bits: {known} of {LINES}; RNN under {UNDER:g} bits: {unknown} of {LINES}")


def greetings() -> list[tuple[str, int]]:
    """Return different lines, and the position of the name that is greeted."""
    world, found = World(), {}
    for line in world.text(WORDS, np.random.default_rng(SEED)).splitlines():
        position = int(world.distance([*line.split(), "<eos>"]).max())
        if position >= LEAST and len(found) < LINES:
            found[line] = position
    return list(found.items())


def measured(text_model: TextModel, line: str, position: int) -> tuple[float, str, str]:
    """Return the influence of the first word, the probability of the answer, and the most influential word."""
    found = influence(text_model, line, position)
    most = int(np.argmax(found.bits))
    said = f"{found[most].token}, {position - most} back: {found[most].bits:.2f}"
    return float(found.bits[0]), f"{2**-found.surprisal_bits:.1%}", said


if __name__ == "__main__":
    main()
