"""Who speaks, by an utterance's name; and halves of a list that share no speaker."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEPARATOR = "-"


def speaker_of(utterance: str, separator: str = SEPARATOR) -> str:
    """Return the part of an utterance's name before the first separator: all of it, where there is none."""
    return utterance.split(separator, 1)[0] if separator else utterance


def in_order(names: Sequence[str], separator: str = SEPARATOR) -> list[list[int]]:
    """Return the places of each speaker's utterances, in the order of their names; the busiest speaker first."""
    speakers: dict[str, list[int]] = {}
    for place in sorted(range(len(names)), key=names.__getitem__):
        speakers.setdefault(speaker_of(names[place], separator), []).append(place)
    return sorted(speakers.values(), key=len, reverse=True)


def first_half(names: Sequence[str], separator: str = SEPARATOR) -> NDArray[np.bool_]:
    """Tell of every utterance (U,) whether it is in the first half.

    Speakers, in the order of appearance, are in the first half until it has half of the utterances. One speaker's
    utterances are cut in the middle.
    """
    speakers = [speaker_of(name, separator) for name in names]
    if len(set(speakers)) == 1:
        return np.arange(len(names)) < len(names) // 2
    counts = dict.fromkeys(speakers, 0)
    for speaker in speakers:
        counts[speaker] += 1
    chosen: set[str] = set()
    taken = 0
    for speaker, count in counts.items():
        if abs(2 * (taken + count) - len(names)) <= abs(2 * taken - len(names)):
            chosen.add(speaker)
            taken += count
        else:
            break
    chosen = chosen or {speakers[0]}
    return np.array([speaker in chosen for speaker in speakers])
