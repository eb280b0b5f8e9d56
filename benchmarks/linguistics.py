"""Minimal pairs and garden paths with one model: `python benchmarks/linguistics.py RUN [-o FOLDER]`.

RUN is a model of English; one that suits is trained by `benchmarks/rescoring.py`. Prints the accuracy on every set of
BLiMP in $ELMAN_DATA/blimp (`elman pairs`), and the surprisal of the word at which a garden path ends, beside that of
the same word in a sentence whose beginning is not ambiguous. FOLDER gets a picture of one such pair.
"""

import argparse
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import elman
from elman.plots import COLOURS, finish, new_figure, save
from tables import markdown
from watched import elman as command


@dataclass(frozen=True)
class Item:
    """A sentence that leads down the garden path, one that does not, and the word at which they part."""

    ambiguous: str
    plain: str
    word: str


GARDEN_PATHS = {
    "a clause, not an object": (
        Item("the woman knew the answer was wrong", "the woman knew that the answer was wrong", "was"),
        Item(
            "the lawyer believed the witness had lied", "the lawyer believed that the witness had lied", "had"
        ),
        Item("the boy heard the bell was broken", "the boy heard that the bell was broken", "was"),
        Item("the captain saw the ship would sink", "the captain saw that the ship would sink", "would"),
        Item(
            "the girl understood the letter came late",
            "the girl understood that the letter came late",
            "came",
        ),
        Item(
            "the man remembered the house had been sold",
            "the man remembered that the house had been sold",
            "had",
        ),
    ),
    "a subject, not an object": (
        Item("while the man hunted the deer ran away", "while the man slept the deer ran away", "ran"),
        Item("as the woman ate the soup grew cold", "as the woman waited the soup grew cold", "grew"),
        Item("after the boy read the letter fell down", "after the boy came the letter fell down", "fell"),
        Item(
            "while the girl sang the song came to an end",
            "while the girl slept the song came to an end",
            "came",
        ),
        Item(
            "when the army attacked the city was burning", "when the army arrived the city was burning", "was"
        ),
        Item(
            "as the king wrote the letter was taken away",
            "as the king spoke the letter was taken away",
            "was",
        ),
    ),
    "a participle, not the verb": (
        Item("the horse raced past the barn fell", "the horse ridden past the barn fell", "fell"),
        Item("the man sent the letter was pleased", "the man given the letter was pleased", "was"),
        Item("the woman brought the flowers smiled", "the woman given the flowers smiled", "smiled"),
        Item("the soldiers told the story laughed", "the soldiers shown the story laughed", "laughed"),
        Item("the boy asked the question answered", "the boy given the question answered", "answered"),
        Item("the ship sailed past the island sank", "the ship driven past the island sank", "sank"),
    ),
}


def bits(model: Any, sentence: str) -> list[tuple[str, float]]:
    """Return the words of a sentence with their surprisal in bits, without the end of the line."""
    rows = list(model.surprisal([sentence]))[:-1]
    return [(row.word, row.surprisal_bits) for row in rows]


def at(model: Any, sentence: str, word: str) -> float:
    """Return the surprisal of the last occurrence of a word in a sentence, in bits."""
    return [found for each, found in bits(model, sentence) if each == word][-1]


def garden_paths(model: Any) -> str:
    """Return a table: the mean surprisal at the word where each kind of garden path ends."""
    lines = []
    for kind, items in GARDEN_PATHS.items():
        pairs = [(at(model, item.ambiguous, item.word), at(model, item.plain, item.word)) for item in items]
        led, plain = (sum(column) / len(items) for column in zip(*pairs, strict=True))
        more = sum(mine > other for mine, other in pairs)
        example = f"*{items[0].ambiguous}*"
        lines.append(
            [kind, example, f"{led:.2f}", f"{plain:.2f}", f"{led - plain:+.2f}", f"{more} of {len(items)}"]
        )
    head = ["the ambiguous words are", "for instance", "bits", "without ambiguity", "difference", "more in"]
    return markdown(head, lines)


def draw(model: Any, item: Item, path: Path) -> None:
    """Draw the surprisal of every word of both sentences, by its place before or after the word where they part."""
    figure, axes = new_figure("linear")
    sentences = ((item.ambiguous, COLOURS[0], "o-", 8), (item.plain, COLOURS[1], "s--", -16))
    for sentence, colour, line, above in sentences:
        words = sentence.split()
        xs = [place - words.index(item.word) for place in range(len(words))]
        found = bits(model, sentence)
        axes.plot(xs, [value for _, value in found], line, color=colour, label=sentence)
        for x, (word, value) in zip(xs, found, strict=True):
            axes.annotate(word, (x, value), (0, above), textcoords="offset points", ha="center", color=colour)
    axes.set_xlabel(f"words before and after “{item.word}”")
    axes.set_ylabel("surprisal in bits")
    axes.legend(frameon=False)
    finish(figure, axes)
    save(figure, path)


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", help="a run folder")
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/linguistics"), help="for the picture")
    given = parser.parse_args()
    sets = sorted(Path(os.environ.get("ELMAN_DATA", ""), "blimp").glob("*.jsonl"))
    if sets:
        subprocess.run(command("pairs", given.run, *map(str, sets)), check=True)
    else:
        print("($ELMAN_DATA/blimp is not there)")
    model = elman.load(given.run)
    draw(model, GARDEN_PATHS["a clause, not an object"][0], given.output / "garden-path.png")
    print(f"\n{garden_paths(model)}")


if __name__ == "__main__":
    main()
