"""Mix text models: check that they are compatible and fit the mixture's weights to a text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, ModelFileError, TextError, VocabularyError
from elman.evaluation.perplexity import BLOCK, begin, perplexity_of
from elman.formats.renumbering import renumbered
from elman.models.base import Ids, LanguageModel
from elman.models.mixture import Mixture, fit_weights, mix_log_probs
from elman.models.tokenized import TokenizedModel, reading_threads
from elman.results import Table
from elman.text.tokenizers import WordTokenizer, has_other_whitespace
from elman.text.vocabulary import Vocabulary

M = TypeVar("M", bound=TokenizedModel)


@dataclass(frozen=True)
class MixedMember:
    """A member of a mixture with its ``weight``, or the mixture itself with none, and its perplexity on the text."""

    model: str
    weight: float | None
    perplexity: float


class Mixed(Table[MixedMember], Generic[M]):
    """A mixture, ``model``, with the perplexities of it and its members on the text to which its weights were fitted.

    The rows are the members, and last the mixture. The perplexities are over the tokens in the vocabulary, including
    ``<unk>``; ``unknown`` counts the tokens without a probability.
    """

    left = 0

    def __init__(self, rows: Sequence[MixedMember], model: M, unknown: int) -> None:
        super().__init__(rows)
        self.model, self.unknown = model, unknown

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights of the members."""
        return tuple(row.weight for row in self if row.weight is not None)

    @property
    def perplexity(self) -> float:
        """The perplexity of the mixture."""
        return self[-1].perplexity

    def text_rows(self) -> list[list[str]]:
        """Return the table as text."""
        unit = f"known {self.model.unit}" if self.unknown else self.model.unit
        rows = [
            ["" if row.weight is None else f"{row.weight:.4f}", f"{row.perplexity:.4f}", row.model]
            for row in self
        ]
        return [["weight", f"perplexity per {unit}", "model"], *rows]


def mix(
    members: Mapping[str, M],
    ids: Ids,
    info: Mapping[str, Any],
    as_read: Callable[[str], LanguageModel] | None = None,
    name: str = "mixture",
) -> Mixed[M]:
    """Mix named models with the weights that give a text of ids (n,) the highest probability.

    The text is read as by ``evaluate``. ``info`` is stored in the mixture, along with its members' info. ``as_read``
    returns, for a member's name, the model that reads the text, for example a wrapper that adapts to it; the mixture
    itself consists of the unwrapped members. ``name`` is its name in the table.

    Raises:
        ConfigError, ModelFileError, VocabularyError: there are fewer than two models, or they are incompatible.
        TextError: the text has no token with a probability.
    """
    if len(members) < 2:
        raise ConfigError(f"name two or more different models to mix, got {len(members)}")
    (first_name, first), *others = members.items()
    for other_name, other in others:
        check_alike(first_name, first, other_name, other)
    known = np.asarray(ids)
    known = known[known >= 0]
    if len(known) == 0:
        raise TextError("the text to fit the weights to has no token that is in the vocabulary")
    reader = as_read or (lambda each: members[each].model)
    columns = [_log_probs(reader(each), known, first.start_id) for each in members]
    weights = tuple(fit_weights(np.stack(columns, axis=1)).tolist())
    model = Mixture([member.model for member in members.values()], weights)
    about = {**info, "members": {each: member.info for each, member in members.items()}}
    corpora = {str(member.info.get("corpus")) for member in members.values()}
    if len(corpora) == 1:
        about["corpus"] = corpora.pop()
    rows = [
        MixedMember(each, weight, _perplexity(column))
        for each, weight, column in zip(members, weights, columns, strict=True)
    ]
    rows.append(MixedMember(name, None, _perplexity(mix_log_probs(columns, weights))))
    return Mixed(rows, replace(first, model=model, info=about), len(ids) - len(known))


def in_one_order(members: Mapping[str, M]) -> dict[str, M]:
    """Return the models with the ids of the first one: those with the same tokens in another order are renumbered.

    Vocabularies with other tokens, other special ones, or of other levels stay; `check_alike` refuses them.
    """
    first = next(iter(members.values()))
    return {name: _in_order_of(first, member) for name, member in members.items()}


def _in_order_of(first: M, member: M) -> M:
    own, wanted = member.vocabulary, first.vocabulary
    alike = (own.unk, own.eos) == (wanted.unk, wanted.eos) and member.tokenizer == first.tokenizer
    if own == wanted or not alike or set(own.tokens) != set(wanted.tokens):
        return member
    return replace(member, model=renumbered(member.model, own, wanted), vocabulary=wanted)


def check_alike(name: str, one: TokenizedModel, other_name: str, other: TokenizedModel) -> None:
    """Raise an error if two models differ in their tokens, their vocabularies or how a text begins.

    Raises:
        ModelFileError: the models have different kinds of tokens or beginnings of a text.
        VocabularyError: the vocabularies differ.
    """
    both = f"{name} and {other_name} cannot be mixed"
    if one.tokenizer.level != other.tokenizer.level:
        raise ModelFileError(f"{both}: one is a model of {one.unit}s, the other of {other.unit}s")
    if one.tokenizer.lower != other.tokenizer.lower:
        raise ModelFileError(f"{both}: one of them lower-cases text (`lower=True`), the other does not")
    if one.vocabulary != other.vocabulary:
        raise VocabularyError(
            f"{both}: {_difference(one.vocabulary, other.vocabulary)}; train both on the same text with the "
            "same `vocab_order`, `min_count` and `max_vocab`"
        )
    words = isinstance(one.tokenizer, WordTokenizer) and isinstance(other.tokenizer, WordTokenizer)
    if words and any(map(has_other_whitespace, one.vocabulary.tokens)) and one.tokenizer != other.tokenizer:
        raise ModelFileError(
            f"{both}: their words contain whitespace, such as U+00A0, at which only one of them splits texts"
        )
    if not words and one.tokenizer != other.tokenizer:
        raise ModelFileError(
            f"{both}: they split words into different subwords; train one with the other's `tokenizer`"
        )
    if one.start_id != other.start_id:
        raise ModelFileError(
            f"{both}: a text begins {_beginning(one)} for one and {_beginning(other)} for the other"
        )


def _difference(one: Vocabulary, other: Vocabulary) -> str:
    """Describe how two vocabularies differ."""
    for these, those, order in ((one, other, "second"), (other, one, "first")):
        lacked = set(these.tokens).difference(those.tokens)
        if lacked:
            token = next(token for token in these.tokens if token in lacked)
            return (
                f"their vocabularies have {len(one):,} and {len(other):,} tokens; the {order} one lacks "
                f"{len(lacked):,} of the other's, such as {token!r}"
            )
    if one.tokens != other.tokens:
        k = next(k for k, pair in enumerate(zip(one.tokens, other.tokens, strict=True)) if pair[0] != pair[1])
        return (
            f"their vocabularies have the same tokens in a different order: id {k} is {one.tokens[k]!r} in one and "
            f"{other.tokens[k]!r} in the other"
        )
    return (
        f"their vocabularies have the same tokens, but the end of a line is {one.eos!r} and {other.eos!r}, "
        f"the unknown token {one.unk!r} and {other.unk!r}"
    )


def _beginning(text_model: TokenizedModel) -> str:
    return "with the empty context" if text_model.start_id is None else "after the end of a line"


def _log_probs(model: LanguageModel, ids: Ids, eos: int | None) -> NDArray[np.float64]:
    """Return ln P of every token of a text of ids (n,), by one model: (n,)."""
    state = begin(model, eos)
    parts: list[NDArray[Any]] = []
    with reading_threads(min(len(ids), BLOCK), model):
        for k in range(0, len(ids), BLOCK):
            scores, state = model.target_log_probs(ids[None, k : k + BLOCK].astype(np.intp), state)
            parts.append(scores[0])
    return np.concatenate(parts).astype(np.float64)


def _perplexity(log_probs: Sequence[float] | NDArray[np.float64]) -> float:
    return perplexity_of(-float(np.mean(log_probs)))
