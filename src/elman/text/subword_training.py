"""Train subword tokenizers, byte-level BPE or byte-level unigram, and return them as a tokenizer.json.

Text is first split into words before each space, and letters from digits and from other signs, so that no piece
spans two words. The same text gives the same tokenizer.

In a unigram model P(word) is the sum, over all segmentations of the word, of the product of its pieces'
probabilities. Training follows T. Kudo, "Subword regularization", ACL 2018: begin with many pieces, fit their
probabilities by EM, drop the pieces whose removal costs the text's likelihood least, and repeat. Here the loss
considers all segmentations, where SentencePiece considers only the best one; and every sum has a fixed order, so
that the result is reproducible.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.text.tokenizer_json import byte_characters, library, with_end_of_line

# Letters, numbers and other signs are separate words, each with the space before it.
WORDS = r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s+(?!\S)|\s+"
LONGEST_PIECE = 16  # bytes
LONGEST_WORD = 40  # bytes; longer words are ignored, so that no probability underflows
MOST_WORDS = 100_000  # distinct words to train on, the most frequent
SEEDS = 10  # initial candidates per piece of the vocabulary
SHRINK = 0.7  # the fraction of the candidates that each round keeps
ROUNDS_OF_EM = 2  # between two such rounds
LEAST_COUNT = 0.5  # pieces with a lower expected count are dropped
FLOOR = 1e-7  # the lowest probability of a piece

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def train_subwords(blocks: Iterable[str], kind: str, vocab_size: int) -> str:
    """Return a tokenizer.json with at most ``vocab_size`` pieces, trained on a text given in blocks of whole lines.

    ``kind`` is "bpe" (R. Sennrich et al., 2016: the most frequent pair of pieces becomes a piece) or "unigram"
    (T. Kudo, 2018: the pieces that the text's likelihood needs most are kept). ``<eos>`` and the 256 bytes are always
    among the pieces. Memory grows only with the number of distinct words.

    Raises:
        MissingExtra: the library ``tokenizers`` is not installed.
    """
    made = _bpe(blocks, vocab_size - 1) if kind == "bpe" else _unigram(blocks, vocab_size - 1)
    return with_end_of_line(str(made.to_str()), "the trained tokenizer")


def _tokenizer(model: Any) -> Any:
    """Return a byte-level tokenizer around a model of pieces."""
    hf = library()
    made = hf.Tokenizer(model)
    made.pre_tokenizer = hf.pre_tokenizers.Sequence(
        [
            hf.pre_tokenizers.Split(hf.Regex(WORDS), "isolated"),
            hf.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = hf.decoders.ByteLevel()
    return made


def _bpe(blocks: Iterable[str], size: int) -> Any:
    hf = library()
    made = _tokenizer(hf.models.BPE())
    trainer = hf.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        initial_alphabet=sorted(hf.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator((block.split("\n") for block in blocks), trainer)
    return made


def _unigram(blocks: Iterable[str], size: int) -> Any:
    models = library().models
    divider = _tokenizer(models.BPE()).pre_tokenizer
    counts = Counter(_words(blocks, divider))
    scores = train_unigram(counts, size)
    return _tokenizer(models.Unigram(scores, None, False))


def _words(blocks: Iterable[str], divider: Any) -> Iterator[str]:
    """Yield the words of a text, each byte written as its character."""
    for block in blocks:
        for line in block.split("\n"):
            for word, _ in divider.pre_tokenize_str(line):
                yield word


def train_unigram(counts: Mapping[str, int], size: int) -> list[tuple[str, float]]:
    """Return at most ``size`` pieces with their ln P, the most probable first; the 256 bytes are among them.

    ``counts`` maps words, each byte written as its character (`byte_characters`), to their counts.
    """
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    words = [(word, count) for word, count in ordered if len(word) <= LONGEST_WORD][:MOST_WORDS]
    singles = sorted(byte_characters())
    pieces = singles + _seeds(words, SEEDS * size)
    weights = np.array([count for _, count in words], np.float64)
    lattice = Lattice.of([word for word, _ in words], pieces)
    inner = Lattice.of(pieces, pieces, whole=False)
    kept = np.ones(len(pieces), np.bool_)
    probs = _normalised(np.array([1.0] * len(singles) + [2.0] * (len(pieces) - len(singles))), kept)
    while True:
        for _ in range(ROUNDS_OF_EM):
            expected = lattice.expected(probs, weights)
            kept &= expected >= LEAST_COUNT
            kept[: len(singles)] = True
            probs = _normalised(expected, kept)
        most = max(size - len(singles), 0)
        left = int(kept.sum()) - len(singles)
        if left <= most:
            break
        losses = expected * (np.log(np.maximum(probs, FLOOR)) - np.log(inner.totals(probs)))
        losses[~kept] = -np.inf
        losses[: len(singles)] = np.inf
        best = np.argsort(-losses, kind="stable")[: len(singles) + max(most, int(SHRINK * left))]
        kept[:] = False
        kept[best] = True
        probs = _normalised(expected, kept)
    chosen = sorted(np.flatnonzero(kept).tolist(), key=lambda k: (-probs[k], pieces[k]))
    return [(pieces[k], float(np.log(probs[k]))) for k in chosen]


def _seeds(words: Sequence[tuple[str, int]], most: int) -> list[str]:
    """Return the substrings of words, of whole characters and occurring twice or more, that cover most of the text."""
    found: Counter[str] = Counter()
    for word, count in words:
        for start, end in _spans(word):
            found[word[start:end]] += count
    several = [(piece, count) for piece, count in found.items() if count > 1 and len(piece) > 1]
    several.sort(key=lambda item: (-item[1] * len(item[0]), item[0]))
    return [piece for piece, _ in several[:most]]


_CONTINUES = frozenset(character for character, byte in byte_characters().items() if byte & 0xC0 == 0x80)


def _spans(word: str) -> list[tuple[int, int]]:
    """Return the start and end of every substring of whole UTF-8 characters, up to the longest piece."""
    cuts = [k for k, character in enumerate(word) if character not in _CONTINUES] + [len(word)]
    return [
        (start, end) for i, start in enumerate(cuts) for end in cuts[i + 1 :] if end - start <= LONGEST_PIECE
    ]


def _normalised(expected: Floats, kept: NDArray[np.bool_]) -> Floats:
    """Return the probabilities of the pieces, 0 for those not kept; before the last division none is below FLOOR."""
    probs = np.where(kept, expected, 0.0)
    probs /= probs.sum() or 1.0
    probs = np.where(kept, np.maximum(probs, FLOOR), 0.0)
    normalised: Floats = probs / probs.sum()
    return normalised


@dataclass(frozen=True)
class Lattice:
    """The pieces in W words: edge k is the piece ``pieces[k]`` in ``words[k]``, from byte ``starts[k]`` to ``ends[k]``.

    Edges are ordered by their ends.
    """

    lengths: Ints  # (W,)
    words: Ints
    starts: Ints
    ends: Ints
    pieces: Ints

    @classmethod
    def of(cls, words: Sequence[str], pieces: Sequence[str], whole: bool = True) -> "Lattice":
        """Find all pieces in all words; without ``whole``, leave out pieces that are a whole word of several bytes."""
        ids = {piece: k for k, piece in enumerate(pieces)}
        edges = array("q")  # word, start, end, piece, and so on
        for w, word in enumerate(words):
            for k, character in enumerate(word):
                edges.extend((w, k, k + 1, ids[character]))
            for start, end in _spans(word):
                piece = ids.get(word[start:end])
                if piece is not None and end - start > 1 and (whole or end - start < len(word)):
                    edges.extend((w, start, end, piece))
        columns = np.array(edges, np.intp).reshape(-1, 4).T
        columns = columns[:, np.lexsort((columns[0], columns[2]))]
        return cls(np.array([len(word) for word in words], np.intp), *columns)

    def totals(self, probs: Floats) -> Floats:
        """Return P of each word, (W,), summed over all its segmentations."""
        totals: Floats = self._forward(probs)[self.lengths, np.arange(len(self.lengths))]
        return totals

    def expected(self, probs: Floats, weights: Floats) -> Floats:
        """Return the expected count of each piece in words that occur ``weights`` (W,) times."""
        alphas, betas = self._forward(probs), self._backward(probs)
        totals = alphas[self.lengths, np.arange(len(self.lengths))]
        paths = alphas[self.starts, self.words] * probs[self.pieces] * betas[self.ends, self.words]
        counts: Floats = paths * (weights / totals)[self.words]
        return np.bincount(self.pieces, counts, minlength=len(probs)).astype(np.float64)

    def _forward(self, probs: Floats) -> Floats:
        """Return P of the first e bytes of each word, (E + 1, W)."""
        W = len(self.lengths)
        alphas = np.zeros((self.lengths.max(initial=0) + 1, W))
        alphas[0] = 1
        edges = probs[self.pieces]
        bounds = np.searchsorted(self.ends, np.arange(len(alphas) + 1))
        for end in range(1, len(alphas)):
            here = slice(bounds[end], bounds[end + 1])
            paths = alphas[self.starts[here], self.words[here]] * edges[here]
            alphas[end] = np.bincount(self.words[here], paths, minlength=W)
        return alphas

    def _backward(self, probs: Floats) -> Floats:
        """Return P of what follows the first s bytes of each word, (E + 1, W)."""
        W = len(self.lengths)
        betas = np.zeros((self.lengths.max(initial=0) + 1, W))
        betas[self.lengths, np.arange(W)] = 1
        order = np.argsort(self.starts, kind="stable")
        starts, words, ends = self.starts[order], self.words[order], self.ends[order]
        edges = probs[self.pieces[order]]
        bounds = np.searchsorted(starts, np.arange(len(betas) + 1))
        for start in range(len(betas) - 2, -1, -1):
            here = slice(bounds[start], bounds[start + 1])
            paths = edges[here] * betas[ends[here], words[here]]
            betas[start] += np.bincount(words[here], paths, minlength=W)
        return betas
