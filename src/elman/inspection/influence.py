"""Influence: by how many bits the prediction of a token changes when an earlier token is another one."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.inspection.text_properties import EncodedText
from elman.models.base import begin
from elman.models.tokenized import reading_threads
from elman.results import Table
from elman.text_model import TextModel

CHUNK = 1 << 15  # tokens read in one pass, so that memory does not grow with the square of the text
IMPOSSIBLE = -1e6  # in place of ln 0, so that impossible tokens are drawn last


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
    """Return by how many bits the surprisal of token ``index`` (from 0) changes when an earlier token is another one.

    Each token before ``index`` is replaced in turn, the others stay as they are, and the text is read again, all
    ``index`` · ``replacements`` texts as one batch. This measures what a prediction depends on. A gradient
    (`through_time`) describes only very small changes of a word vector, and is small where a gate is saturated or the
    prediction is certain, however much the word matters. Works for every language model.

    Args:
        text_model: the model.
        text: the text, read from the beginning of a line.
        index: the predicted token.
        replacements: how many different tokens replace each token; fewer where the vocabulary has fewer. The end of a
            line and ``<unk>`` are never among them.
        likely: draw them from what the model expects at that place; False: from the whole vocabulary, all alike.
        rng: the source of randomness; the same seed gives the same replacements. Default: seed 0.

    Tokens that the vocabulary lacks are not read; their influence is 0.

    Raises:
        TextError: the text has no token.
        ConfigError: there is no token ``index``, or the vocabulary lacks it or has no token to replace others by.

    To a 3-gram model of two sentences, "you" and "say" matter for the word that follows them:

    >>> from elman import NgramModel, TextModel, Vocabulary, influence, make_tokenizer
    >>> tokenizer = make_tokenizer("word")
    >>> tokens = tokenizer.tokens("you say hello\\ni say goodbye\\n" * 20)
    >>> vocabulary = Vocabulary(["you", "say", "hello", "goodbye", "i", "<eos>"], eos="<eos>")
    >>> ids = vocabulary.encode(tokens)
    >>> ngrams = NgramModel.train(ids, len(vocabulary), order=3, eos=vocabulary.eos_id)
    >>> influence(TextModel(ngrams, tokenizer, vocabulary), "you say hello", 2)
    token    bits         replacements
    you    2.1143  goodbye i hello say
    say    7.3390  hello you i goodbye
    <BLANKLINE>
    mean change, in bits, of the surprisal of 'hello' (token 2, 0.04 bits) when another token stands there
    """
    if replacements < 1:
        raise ConfigError(f"replacements must be an integer ≥ 1, got {replacements}")
    coded = EncodedText.of(text_model, text)
    target = _checked_target(coded, index)
    places = np.flatnonzero(coded.ids[:index] >= 0)  # of the tokens that are read
    ids = coded.ids[places]
    with reading_threads(CHUNK, text_model.model):
        drawn = _draw(text_model, ids, replacements, likely, rng or np.random.default_rng(0))  # (P, R)
        ln_probs = _ln_probs(text_model, _texts(ids, drawn, target))  # (1 + P * R,)
    ln_prob = float(ln_probs[0])
    changes = _difference(ln_prob, ln_probs[1:].reshape(drawn.shape)) / math.log(2)  # (P, R)
    names = text_model.vocabulary.tokens
    rows = [TokenInfluence(token, 0.0, (), ()) for token in coded.tokens[:index]]
    for place, new, change in zip(places.tolist(), drawn.tolist(), changes, strict=True):
        mean = float(np.abs(change).mean())
        rows[place] = TokenInfluence(
            coded.tokens[place], mean, tuple(names[id_] for id_ in new), tuple(change.tolist())
        )
    return Influence(rows, coded, index, 0.0 - ln_prob / math.log(2))


def _checked_target(coded: EncodedText, index: int) -> int:
    """Return the id of the predicted token. Raises ConfigError if there is none."""
    if not 0 <= index < len(coded.tokens):
        last = len(coded.tokens) - 1
        raise ConfigError(f"index must be that of a token of the text, 0 to {last}, got {index}")
    if (target := int(coded.ids[index])) < 0:
        raise ConfigError(
            f"token {index}, {coded.tokens[index]!r}, is not in the vocabulary, so its probability is 0 in every "
            "context; choose another index"
        )
    return target


def _draw(
    text_model: TextModel, ids: NDArray[np.intp], count: int, likely: bool, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return, for each of the ids (P,), different other ids, drawn without replacement: (P, R).

    The R largest of ln P + Gumbel noise are such a sample (W. Kool, H. van Hoof and M. Welling, ICML 2019).
    """
    model, vocabulary = text_model.model, text_model.vocabulary
    never = {vocabulary.eos_id, vocabulary.unk_id} - {None}
    state = begin(model, text_model.start_id)
    drawn = np.empty((len(ids), min(count, len(vocabulary) - len(never) - 1)), np.intp)  # (P, R)
    if drawn.shape[1] < 1:
        raise ConfigError("the vocabulary has no other token to put in a token's place")
    for place, id_ in enumerate(ids):
        keys = rng.gumbel(size=len(vocabulary))  # (V,)
        if likely:
            keys += np.maximum(model.next_log_probs(state)[0], IMPOSSIBLE)
            state = model.feed(np.array([[id_]]), state)
        keys[[id_, *never]] = -np.inf
        drawn[place] = np.argsort(-keys, kind="stable")[: drawn.shape[1]]
    return drawn


def _texts(ids: NDArray[np.intp], drawn: NDArray[np.intp], target: int) -> NDArray[np.intp]:
    """Return the ids (P,) and the target and, below, the same with each id replaced by each of (P, R)."""
    P, R = drawn.shape
    original = np.append(ids, target)  # (P + 1,)
    replaced = np.tile(original, (P, R, 1))  # (P, R, P + 1)
    replaced[np.arange(P), :, np.arange(P)] = drawn
    return np.concatenate([original[None], replaced.reshape(P * R, P + 1)])


def _ln_probs(text_model: TextModel, texts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return ln P of the last token of each text (N, T): (N,)."""
    model, (N, T) = text_model.model, texts.shape
    rows = max(1, CHUNK // T)
    parts = []
    for first in range(0, N, rows):
        batch = texts[first : first + rows]
        counted = np.zeros(batch.shape, np.bool_)
        counted[:, -1] = True
        state = begin(model, text_model.start_id, len(batch))
        parts.append(model.target_log_probs(batch, state, counted)[0][:, -1])
    return np.concatenate(parts).astype(np.float64)


def _difference(ln_prob: float, ln_probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``ln_prob - ln_probs``; 0 where both are -inf, for the token is impossible either way."""
    same = ln_probs == ln_prob
    with np.errstate(invalid="ignore"):
        return np.where(same, 0.0, ln_prob - ln_probs)
