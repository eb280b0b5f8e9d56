"""Influence: by how many bits the prediction of a token changes when an earlier token is another one."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.generation import Sampler
from elman.inspection.text_properties import EncodedText
from elman.models.base import begin
from elman.models.tokenized import reading_threads
from elman.results import Table
from elman.text_model import TextModel

CHUNK = 1 << 15  # tokens read in one pass, so that memory does not grow with the square of the text
LIKELY = (
    0.99  # of the probability at a place: the most probable tokens that together reach it are likely there
)


class TokenInfluence(NamedTuple):
    """An earlier token, its influence in bits, and what it was replaced by, with the change in bits of each."""

    token: str
    bits: float
    replacements: tuple[str, ...]
    changes: tuple[float, ...]


class Influence(Table[TokenInfluence]):
    """The influence of every token before token ``position`` of a text; see `influence`.

    A change is the surprisal with the replacement minus that of the text as it is; it is positive where the token that
    stands there makes the predicted one more probable. ``bits`` is the mean of the changes' absolute values.
    """

    def __init__(
        self, rows: Sequence[TokenInfluence], coded: EncodedText, position: int, surprisal_bits: float
    ) -> None:
        super().__init__(rows)
        self.coded, self.position, self.surprisal_bits = coded, position, surprisal_bits

    @property
    def token(self) -> str:
        """The token that is predicted."""
        return self.coded.tokens[self.position]

    @property
    def bits(self) -> NDArray[np.float64]:
        """The influence of every token before the predicted one in bits, (position,)."""
        return np.array([row.bits for row in self.rows], np.float64)

    def row_dict(self, row: TokenInfluence) -> dict[str, Any]:
        """Return the columns of a row with their values."""
        return {"token": row.token, "bits": row.bits, "replacements": " ".join(row.replacements)}

    def notes(self) -> str:
        """Return what the numbers are."""
        return (
            f"mean change, in bits, of the surprisal of {self.token!r} (token {self.position}, "
            f"{self.surprisal_bits:.2f} bits) when another token stands there"
        )


def influence(
    text_model: TextModel,
    text: str,
    index: int,
    replacements: int = 8,
    *,
    likely: bool = True,
    rng: np.random.Generator | None = None,
) -> Influence:
    r"""Return by how many bits the surprisal of token ``index`` (from 0) changes when an earlier token is another one.

    Each token before ``index`` is replaced in turn, the others stay as they are, and the text is read again, all
    ``index`` · ``replacements`` texts as one batch. This measures what a prediction depends on. A gradient
    (`through_time`) describes only very small changes of a word vector, and is small where a gate is saturated or the
    prediction is certain, however much the word matters. Works for every language model.

    Args:
        text_model: the model.
        text: the text, read from the beginning of a line.
        index: the predicted token.
        replacements: how many different tokens replace each token, at most. The end of a line and ``<unk>`` are never
            among them.
        likely: draw them, by their probabilities, from the tokens that the model finds likely at that place (the
            nucleus of probability 0.99); False: from the whole vocabulary, all alike, though a model is easily confused
            by a token that cannot stand where it is.
        rng: the source of randomness; the same seed gives the same replacements. Default: seed 0.

    Where no other token is likely the influence is 0; so is that of tokens that the vocabulary lacks, for they are not
    read.

    Raises:
        TextError: the text has no token.
        ConfigError: there is no token ``index``, or the vocabulary lacks it.

    Of these sentences the first word decides the last, and no other word is likely between them:

    >>> from elman import NgramModel, TextModel, Vocabulary, influence, make_tokenizer
    >>> tokenizer = make_tokenizer("word")
    >>> tokens = tokenizer.tokens("tom thanks tom\nann thanks ann\n" * 20)
    >>> vocabulary = Vocabulary(["tom", "thanks", "ann", "<eos>"], eos="<eos>")
    >>> ids = vocabulary.encode(tokens)
    >>> model = NgramModel.train(ids, len(vocabulary), order=3, eos=vocabulary.eos_id)
    >>> found = influence(TextModel(model, tokenizer, vocabulary), "tom thanks tom", 2)
    >>> found
    token     bits  replacements
    tom     3.1953    ann thanks
    thanks  0.0000
    <BLANKLINE>
    mean change, in bits, of the surprisal of 'tom' (token 2, 0.04 bits) when another token stands there
    >>> found.bits.round(1)
    array([3.2, 0. ])
    """
    coded = EncodedText.of(text_model, text)
    _check_target(coded, index)
    (found,) = _influences(text_model, coded, index + 1, (index,), replacements, likely, rng)
    return found


def influences(
    text_model: TextModel,
    text: str,
    replacements: int = 8,
    *,
    likely: bool = True,
    rng: np.random.Generator | None = None,
) -> list[Influence]:
    """Return the `influence` on every token of a text that the vocabulary has, from one reading of every replacement.

    Raises TextError if the text has no token.
    """
    coded = EncodedText.of(text_model, text)
    known = np.flatnonzero(coded.ids >= 0).tolist()
    return _influences(text_model, coded, len(coded.tokens), known, replacements, likely, rng)


def _check_target(coded: EncodedText, index: int) -> None:
    """Raise ConfigError if there is no token to predict at ``index``."""
    if not 0 <= index < len(coded.tokens):
        last = len(coded.tokens) - 1
        raise ConfigError(f"index must be that of a token of the text, 0 to {last}, got {index}")
    if coded.ids[index] < 0:
        raise ConfigError(
            f"token {index}, {coded.tokens[index]!r}, is not in the vocabulary, so its probability is 0 in every "
            "context; choose another index"
        )


def _influences(
    text_model: TextModel,
    coded: EncodedText,
    end: int,
    targets: Sequence[int],
    count: int,
    likely: bool,
    rng: np.random.Generator | None,
) -> list[Influence]:
    """Return the influences on the tokens ``targets`` of the text's tokens before ``end`` (exclusive)."""
    if count < 1:
        raise ConfigError(f"replacements must be an integer ≥ 1, got {count}")
    places = np.flatnonzero(coded.ids[:end] >= 0)  # of the n tokens that are read
    ids, columns = coded.ids[places], np.searchsorted(places, targets)
    with reading_threads(CHUNK, text_model.model):
        at, new = _draw(text_model, ids[:-1], count, likely, rng or np.random.default_rng(0))  # (K,) each
        texts = np.tile(ids, (1 + len(at), 1))  # the text itself, and K with one token replaced: (1 + K, n)
        texts[np.arange(1, len(texts)), at] = new
        ln_probs = _ln_probs(text_model, texts, columns)  # (1 + K, targets)
    changes = _difference(ln_probs[0], ln_probs[1:]) / math.log(2)  # (K, targets)
    names = [text_model.vocabulary.tokens[id_] for id_ in new]
    found: list[Influence] = []
    for k, (column, target) in enumerate(zip(columns.tolist(), targets, strict=True)):
        rows = [TokenInfluence(token, 0.0, (), ()) for token in coded.tokens[:target]]
        for step in np.unique(at[at < column]):
            of = np.flatnonzero(at == step)  # the rows of this step's replacements
            change = changes[of][:, k]
            rows[places[step]] = TokenInfluence(
                coded.tokens[places[step]],
                float(np.abs(change).mean()),
                tuple(names[row] for row in of),
                tuple(change.tolist()),
            )
        found.append(Influence(rows, coded, target, 0.0 - float(ln_probs[0, k]) / math.log(2)))
    return found


def _draw(
    text_model: TextModel, ids: NDArray[np.intp], count: int, likely: bool, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return other ids for the ids (P,), up to ``count`` different ones for each: their steps and they, (K,) each.

    The largest of ln P + Gumbel noise are drawn by P without replacement (W. Kool et al., ICML 2019).
    """
    model, vocabulary = text_model.model, text_model.vocabulary
    nucleus = Sampler(top_p=LIKELY)
    never = [id_ for id_ in (vocabulary.eos_id, vocabulary.unk_id) if id_ is not None]
    state = begin(model, text_model.start_id)
    steps, drawn = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    for step, id_ in enumerate(ids):
        keys = rng.gumbel(size=len(vocabulary))  # (V,)
        if likely:
            with np.errstate(divide="ignore"):
                keys += np.log(nucleus.distribution(model.next_log_probs(state)[0]))
            state = model.feed(np.array([[id_]]), state)
        keys[[id_, *never]] = -np.inf
        best = np.argsort(-keys, kind="stable")[:count]
        best = best[np.isfinite(keys[best])]
        drawn.append(best)
        steps.append(np.full(len(best), step, np.intp))
    return np.concatenate(steps), np.concatenate(drawn)


def _ln_probs(
    text_model: TextModel, texts: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return ln P of the tokens of texts (N, T) in these columns: (N, len(columns))."""
    model, (N, T) = text_model.model, texts.shape
    rows = max(1, CHUNK // T)
    parts = []
    for first in range(0, N, rows):
        batch = texts[first : first + rows]
        counted = np.zeros(batch.shape, np.bool_)
        counted[:, columns] = True
        state = begin(model, text_model.start_id, len(batch))
        parts.append(model.target_log_probs(batch, state, counted)[0][:, columns])
    return np.concatenate(parts).astype(np.float64)


def _difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``one - other``; 0 where both are -inf, for the token is impossible either way."""
    with np.errstate(invalid="ignore"):
        return np.where(one == other, 0.0, one - other)
