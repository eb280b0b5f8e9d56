"""How much of a validation text is also in the training text, where its perplexity would measure memorisation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.files import release_pages
from elman.text.corpus import Corpus

# tokens of a line that is compared: shorter ones (a name, a "yes") repeat by chance
MIN_TOKENS = {"word": 5, "subword": 8, "char": 20, "jamo": 20, "byte": 20}
CHUNK = 1 << 20  # ids at a time
Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Overlap:
    """``found`` of the ``lines`` distinct lines of a validation text (short ones left out) are in the training text."""

    found: int
    lines: int

    @property
    def in_most_lines(self) -> bool:
        """Whether more than half of the lines are in the training text."""
        return 2 * self.found > self.lines


def overlap(train: Corpus, valid: Corpus, level: str) -> Overlap:
    """Compare two texts in one vocabulary, line by line; the training text is read once, in constant memory.

    Lines of at least MIN_TOKENS[level] known tokens are compared, by 64-bit hashes of their ids. Reading stops once
    more than half of the lines have been found.
    """
    eol, longest = _end_of_line(train), _longest_line(valid.ids, _end_of_line(train))
    lines = _Lines(eol, train.vocabulary.unknown_id, MIN_TOKENS[level], max(CHUNK, longest + 1))
    wanted: Hashes = np.unique(np.concatenate([np.empty(0, np.uint64), *lines.hashes(valid.ids)]))
    found = np.zeros(len(wanted), np.bool_)
    for hashes in lines.hashes(train.ids) if len(wanted) else ():
        places = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
        found[places[wanted[places] == hashes]] = True
        if 2 * np.count_nonzero(found) > len(wanted):
            break
    return Overlap(int(np.count_nonzero(found)), len(wanted))


def is_blank(corpus: Corpus) -> bool:
    """Return whether a text has only empty lines."""
    eol = _end_of_line(corpus)
    chunks = (corpus.ids[k : k + CHUNK] for k in range(0, len(corpus.ids), CHUNK))
    return eol is not None and all((chunk == eol).all() for chunk in chunks)


def _end_of_line(corpus: Corpus) -> int | None:
    return corpus.vocabulary.eos_id


def _longest_line(ids: NDArray[Any], eol: int | None) -> int:
    ends = np.flatnonzero(ids == eol) if eol is not None else np.empty(0, np.intp)
    return int(np.diff(ends, prepend=-1, append=len(ids)).max())


@dataclass(frozen=True)
class _Lines:
    """Reads a text line by line, ``size`` ids at a time; longer lines are left out."""

    eol: int | None
    unknown: int
    least: int
    size: int

    def hashes(self, ids: NDArray[Any]) -> Iterator[Hashes]:
        """Yield the hashes of the lines, chunk by chunk."""
        start, whole = 0, True  # whether a line begins at start
        while start < len(ids):
            chunk = np.asarray(ids[start : start + self.size])
            ends = np.flatnonzero(chunk == self.eol) if self.eol is not None else np.empty(0, np.intp)
            if start + self.size >= len(ids) and (not len(ends) or ends[-1] + 1 < len(chunk)):
                ends = np.append(ends, len(chunk))
            if len(ends):
                starts = np.append(0, ends[:-1] + 1)
                yield self._hashes(chunk, starts[not whole :], ends[not whole :])
            start += int(ends[-1]) + 1 if len(ends) else self.size
            whole = bool(len(ends))
            release_pages(ids)

    def _hashes(self, ids: NDArray[Any], starts: NDArray[np.intp], ends: NDArray[np.intp]) -> Hashes:
        """Return a hash of every line ids[start:end]: the sum of the mixed pairs (id, position)."""
        long = ends - starts >= self.least
        starts, lengths = starts[long], (ends - starts)[long]
        if not len(starts):
            return np.empty(0, np.uint64)
        firsts = np.append(0, np.cumsum(lengths)[:-1])
        places = np.arange(int(lengths.sum())) - np.repeat(firsts, lengths)
        chosen = ids[np.repeat(starts, lengths) + places].astype(np.int64)
        mixed = _mix(chosen.view(np.uint64) + (places.astype(np.uint64) << np.uint64(32)))
        known = np.add.reduceat((chosen != self.unknown).astype(np.intp), firsts)
        return np.add.reduceat(mixed, firsts)[known >= self.least]


def _mix(x: Hashes) -> Hashes:
    """Return 64 bits, each of which depends on all bits of x (the finaliser of SplitMix64)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
