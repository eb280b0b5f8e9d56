"""The linear mixture of models, P(w | past) = Σ_k λ_k · P_k(w | past), and the EM algorithm that finds its weights.

`wrap_members` applies a wrapper, such as a cache, to the members of a mixture.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError, ShapeError, TextError, VocabularyError
from elman.models.base import Ids, LanguageModel, LogProbs, Mask, checked_mask
from elman.one_line import one_line

GAP = 1e-8  # nats per token: EM stops when the likelihood is at most so far below its maximum
STEPS = 1000
SHOWN = 4  # members in the repr


@dataclass(frozen=True)
class MixtureState:
    """The states of a mixture's members, in order, after the same past."""

    members: tuple[Any, ...]

    @property
    def batch_size(self) -> int:
        """The number N of sequences."""
        batch_size: int = self.members[0].batch_size
        return batch_size

    def select(self, rows: Sequence[int] | Ids) -> "MixtureState":
        """Return the state of these sequences, in this order; a sequence may be repeated or left out."""
        return MixtureState(tuple(member.select(rows) for member in self.members))

    def join(self, *others: "MixtureState") -> "MixtureState":
        """Return one state with this state's sequences followed by those of the others."""
        columns = zip(self.members, *(other.members for other in others), strict=True)
        return MixtureState(tuple(first.join(*rest) for first, *rest in columns))


class Mixture:
    """P(w | past) = Σ_k λ_k · P_k(w | past), of K models of any kind with the same ids.

    ``weights`` are the λ_k: non-negative, with sum 1.

    Raises:
        ConfigError: the weights are invalid, or there is no model.
        VocabularyError: the vocabularies have different sizes.
    """

    def __init__(self, models: Sequence[LanguageModel], weights: Sequence[float] | NDArray[Any]) -> None:
        self.models = tuple(models)
        self.weights = tuple(float(weight) for weight in weights)
        if not self.models:
            raise ConfigError("a mixture needs at least one model, got none")
        if len(self.weights) != len(self.models):
            raise ConfigError(
                f"a mixture of {len(self.models)} models needs as many weights, got {len(self.weights)}"
            )
        if not (min(self.weights) >= 0 and abs(sum(self.weights) - 1) < 1e-9):
            raise ConfigError(f"the weights of a mixture must be ≥ 0 and sum to 1, got {list(self.weights)}")
        if len(sizes := {model.vocab_size for model in self.models}) > 1:
            raise VocabularyError(
                f"the models of a mixture must share a vocabulary, but their vocabularies have {sorted(sizes)} tokens; "
                "train them on the same text with the same vocabulary options"
            )

    def __repr__(self) -> str:
        pairs = list(zip(self.weights, self.models, strict=True))
        members = [f"{weight:.2g} {type(model).__name__}" for weight, model in pairs[:SHOWN]]
        more = [f"{len(pairs) - SHOWN} more"] if len(pairs) > SHOWN else []
        return one_line(self, " + ".join(members + more), f"vocabulary {self.vocab_size:,}")

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens."""
        return self.models[0].vocab_size

    def start(self, batch_size: int = 1) -> MixtureState:
        """Return the initial state of N sequences, which have read nothing."""
        return MixtureState(tuple(model.start(batch_size) for model in self.models))

    def feed(self, ids: Ids, state: MixtureState) -> MixtureState:
        """Read ids (N, T) after ``state``; return the state that follows."""
        pairs = zip(self.models, state.members, strict=True)
        return MixtureState(tuple(model.feed(ids, member) for model, member in pairs))

    def next_log_probs(self, state: MixtureState) -> NDArray[np.float64]:
        """Return ln P(next = v | past) for every v: (N, V)."""
        pairs = zip(self.models, state.members, strict=True)
        return self._mixed([model.next_log_probs(member) for model, member in pairs])

    def target_log_probs(
        self, ids: Ids, state: MixtureState, counted: Mask | None = None
    ) -> tuple[NDArray[np.float64], MixtureState]:
        """Return ln P(ids[n, t] | past of sequence n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False, the result is 0.
        """
        pairs = zip(self.models, state.members, strict=True)
        answers = [model.target_log_probs(ids, member, counted) for model, member in pairs]
        log_probs = self._mixed([scores for scores, _ in answers])  # (N, T)
        if counted is not None:
            log_probs[~checked_mask(counted, log_probs.shape)] = 0
        return log_probs, MixtureState(tuple(after for _, after in answers))

    def _mixed(self, log_probs: Sequence[LogProbs]) -> NDArray[np.float64]:
        return mix_log_probs(log_probs, self.weights)


def mix_log_probs(log_probs: Sequence[LogProbs], weights: Sequence[float]) -> NDArray[np.float64]:
    """Return ln Σ_k λ_k exp(log_probs[k]) of K arrays of the same shape, without overflow or underflow."""
    with np.errstate(divide="ignore"):  # ln 0 = -inf is what a weight of 0 means
        log_weights = np.log(np.asarray(weights, np.float64))
    mixed: NDArray[np.float64] = log_weights[0] + log_probs[0]
    for log_weight, scores in zip(log_weights[1:], log_probs[1:], strict=True):
        np.logaddexp(mixed, log_weight + scores, out=mixed)
    return mixed


def fit_weights(log_probs: LogProbs, steps: int = STEPS) -> NDArray[np.float64]:
    """Return the weights (K,) of the mixture that gives a text the highest probability.

    ``log_probs`` (n, K) is ln P_k(w_t | past) of n tokens by K models. EM from equal weights (A. Dempster et al.,
    1977): λ_k ← mean over t of λ_k P_k(w_t) / Σ_j λ_j P_j(w_t). No step lowers the likelihood; it stops 1e-8 nats
    per token below the maximum, or after ``steps``. Tokens of probability 0 in every model do not count.

    Raises:
        ShapeError: there are not two axes.
        TextError: no token counts.
    """
    log_probs = np.asarray(log_probs, np.float64)
    if log_probs.ndim != 2 or log_probs.shape[1] == 0:
        raise ShapeError(f"log probabilities to fit weights to must be (n, K), got {log_probs.shape}")
    highest = log_probs.max(axis=1, keepdims=True)  # (n, 1)
    possible = np.isfinite(highest[:, 0])
    if not possible.any():
        raise TextError(
            "the text to fit weights to has no token to which any model gives a probability above 0"
        )
    probs = np.exp(log_probs[possible] - highest[possible])  # (n, K), up to a factor of each token
    weights: NDArray[np.float64] = np.full(log_probs.shape[1], 1 / log_probs.shape[1])
    for _ in range(steps):
        gains = (probs / (probs @ weights)[:, None]).mean(axis=0)  # (K,), the likelihood's gradient
        if np.log(gains.max()) < GAP:  # the likelihood is concave: no weights are better by more than this
            break
        weights *= gains
        weights /= weights.sum()  # corrects rounding only
    return weights


Wrap = Callable[[LanguageModel], LanguageModel]
Fits = Callable[[LanguageModel], bool]


def any_fits(model: LanguageModel, fits: Fits) -> bool:
    """Return whether ``fits`` is true of the model or, in a mixture, of any member."""
    if isinstance(model, Mixture):
        return any(any_fits(member, fits) for member in model.models)
    return fits(model)


def wrap_members(model: LanguageModel, wrap: Wrap, fits: Fits) -> LanguageModel:
    """Return ``wrap(model)``; of a mixture, wrap only the members that fit and keep the weights.

    A mixture without such a member is itself passed to ``wrap``, which refuses it.
    """
    if isinstance(model, Mixture) and any_fits(model, fits):
        members = [
            wrap_members(member, wrap, fits) if any_fits(member, fits) else member for member in model.models
        ]
        return Mixture(members, model.weights)
    return wrap(model)
