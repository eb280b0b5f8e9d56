"""Mix text models: check that they are compatible and fit the mixture's weights to a text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, ModelFileError, TextError, VocabularyError
from elman.evaluation.perplexity import BLOCK, begin, perplexity_of
from elman.models.base import Ids, LanguageModel
from elman.models.mixture import Mixture, fit_weights, mix_log_probs
from elman.models.tokenized import TokenizedModel, reading_threads
from elman.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Mixed:
    """A mixture, with the perplexities of it and its members on the text to which its weights were fitted.

    The perplexities are over the tokens in the vocabulary, including ``<unk>``; ``unknown`` counts the tokens without
    a probability.
    """

    text_model: TokenizedModel
    weights: tuple[float, ...]
    perplexities: tuple[float, ...]
    perplexity: float
    unknown: int


def mix(
    members: Mapping[str, TokenizedModel],
    ids: Ids,
    info: Mapping[str, Any],
    as_read: Callable[[str], LanguageModel] | None = None,
) -> Mixed:
    """Mix named models with the weights that give a text of ids (n,) the highest probability.

    The text is read as by ``evaluate``. ``info`` is stored in the mixture, along with its members' info. ``as_read``
    returns, for a member's name, the model that reads the text, for example a wrapper that adapts to it; the mixture
    itself consists of the unwrapped members.

    Raises:
        ConfigError, ModelFileError, VocabularyError: there are fewer than two models, or they are incompatible.
        TextError: the text has no token with a probability.
    """
    if len(members) < 2:
        raise ConfigError(f"a mixture needs at least two models, got {len(members)}")
    (first_name, first), *others = members.items()
    for name, other in others:
        check_alike(first_name, first, name, other)
    known = np.asarray(ids)
    known = known[known >= 0]
    if len(known) == 0:
        raise TextError("the text to fit the weights to has no token that is in the vocabulary")
    reader = as_read or (lambda name: members[name].model)
    columns = [_log_probs(reader(name), known, first.start_id) for name in members]
    weights = tuple(fit_weights(np.stack(columns, axis=1)).tolist())
    model = Mixture([member.model for member in members.values()], weights)
    about = {**info, "members": {name: member.info for name, member in members.items()}}
    corpora = {str(member.info.get("corpus")) for member in members.values()}
    if len(corpora) == 1:
        about["corpus"] = corpora.pop()
    return Mixed(
        TokenizedModel(model, first.tokenizer, first.vocabulary, about, first.start),
        weights,
        tuple(_perplexity(column) for column in columns),
        _perplexity(mix_log_probs(columns, weights)),
        len(ids) - len(known),
    )


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
    if one.tokenizer != other.tokenizer:
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
