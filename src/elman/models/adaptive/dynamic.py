"""Dynamic evaluation: a model whose weights go on learning from the text that it reads.

The state of a dynamically evaluated model, as a value: where each sequence stands, and its adapted weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array, is_torch, namespace, to_numpy
from elman.errors import ConfigError
from elman.models.adaptive.learner import GradientStep, Learner
from elman.models.base import Ids, LanguageModel, LogProbs, Mask, checked_ids, checked_mask


@dataclass(frozen=True, eq=False)
class SequenceState:
    """One sequence: its ``weights``, the model's state ``before`` the first of ``tokens``, and the one ``now``.

    The tokens are the last one of the block before, which the first of this block is predicted from, and those
    of this block so far. ``now`` follows from the others; no array is ever changed.
    """

    weights: tuple[Array, ...]
    before: Any
    tokens: tuple[int, ...]
    now: Any

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SequenceState):
            return NotImplemented
        return bool(
            self.tokens == other.tokens
            and self.before == other.before
            and all(
                mine is theirs or np.array_equal(to_numpy(mine), to_numpy(theirs))
                for mine, theirs in zip(self.weights, other.weights, strict=True)
            )
        )

    def __hash__(self) -> int:
        return hash((self.tokens, self.before))


@dataclass(frozen=True)
class DynamicState:
    """The `LaneState` of N sequences, each with weights of its own."""

    of_sequences: tuple[SequenceState, ...]

    @property
    def batch_size(self) -> int:
        """The number N of sequences."""
        return len(self.of_sequences)

    @property
    def h(self) -> tuple[Array, ...]:
        """The hidden state (N, H) of every layer of a recurrent model, as the adapted weights produced it."""
        first, *others = (row.now for row in self.of_sequences)
        h: tuple[Array, ...] = first.join(*others).h
        return h

    def select(self, rows: Sequence[int] | Ids) -> "DynamicState":
        """Return the state of these sequences, in this order; a sequence may be repeated or left out."""
        return DynamicState(tuple(self.of_sequences[row] for row in rows))

    def join(self, *others: "DynamicState") -> "DynamicState":
        """Return one state with this state's sequences followed by those of the others."""
        return DynamicState(tuple(row for state in (self, *others) for row in state.of_sequences))


SequenceAnswer = tuple[list[LogProbs], list[Array], SequenceState]


class DynamicModel:
    """A model that, after every ``block`` tokens, takes one step down the gradient of their loss.

    A token is always predicted by weights that have not seen it. The weights are part of the state, every sequence has
    its own, and the wrapped model's are never changed. A text's very first token, which is predicted from nothing,
    is not learnt from. (T. Mikolov and others, Recurrent neural network based language model, Interspeech 2010;
    B. Krause and others, Dynamic evaluation of neural sequence models, ICML 2018.)

    Args:
        model: recurrent or of a window; a copy of it is made, without dropout.
        lr, decay, squares, clip_norm, epsilon: the step, see `GradientStep`; ``squares`` are from `mean_squares`.
        block: tokens a step.

    A state holds a copy of all weights where a step was taken since the state before it: read many tokens a call.

    Raises:
        ConfigError: the model is of another kind, block is below 1, or the step makes no sense.
        TrainingDiverged: (while reading) the loss is not finite any more.
    """

    def __init__(
        self,
        model: LanguageModel,
        lr: float,
        decay: float = 0.0,
        block: int = 20,
        squares: Sequence[Array] | None = None,
        clip_norm: float | None = 1.0,
        epsilon: float = 1e-3,
    ) -> None:
        if block < 1:
            raise ConfigError(f"a block of dynamic evaluation must be 1 token or more, got {block}")
        self.model, self.block, self.scaled = model, block, squares is not None
        self._learner = Learner(model)
        self._own = self._learner.model  # whose weights are those of one sequence, at one time
        self._loaded = self._originals = self._kept_weights()
        self._step = GradientStep(self._originals, lr, decay, clip_norm, squares, epsilon)

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens that share the probability."""
        return self.model.vocab_size

    @property
    def definition(self) -> str:
        """How the weights go on learning, in words."""
        step = self._step
        kind = "gradients over the root of their mean squares" if self.scaled else "plain gradients"
        clipped = "" if step.clip_norm is None else f", clipped to norm {step.clip_norm:g}"
        return f"a step every {self.block} tokens: {kind}{clipped}, lr {step.lr:g}, decay {step.decay:g}"

    def start(self, batch_size: int = 1) -> DynamicState:
        """Return the state of having read nothing, for N sequences."""
        nothing = self._own.start()
        return DynamicState((SequenceState(self._originals, nothing, (), nothing),) * batch_size)

    def feed(self, ids: Ids, state: DynamicState) -> DynamicState:
        """Read ids (N, T) after ``state``; return the state that follows."""
        unasked = np.zeros(np.shape(ids), np.bool_)
        return self.target_log_probs_and_hidden(ids, state, unasked)[2]

    def next_log_probs(self, state: DynamicState) -> LogProbs:
        """Return ln P(next = v | past) for every v: (N, V)."""
        rows = []
        for row in state.of_sequences:
            self._load(row.weights)
            rows.append(self._own.next_log_probs(row.now))
        return np.concatenate(rows)

    def target_log_probs(
        self, ids: Ids, state: DynamicState, counted: Mask | None = None
    ) -> tuple[LogProbs, DynamicState]:
        """Return ln P(ids[n, t] | past of sequence n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False it is 0.
        """
        log_probs, _, after = self.target_log_probs_and_hidden(ids, state, counted)
        return log_probs, after

    def target_log_probs_and_hidden(
        self, ids: Ids, state: DynamicState, counted: Mask | None = None
    ) -> tuple[LogProbs, Array, DynamicState]:
        """Do what `target_log_probs` does; return also the top layer's h that predicts each token, (N, T, H)."""
        ids = checked_ids(ids, state.batch_size, self.vocab_size)
        mask = np.ones(ids.shape, np.bool_) if counted is None else checked_mask(counted, ids.shape)
        answers = [self._read(*row) for row in zip(ids, mask, state.of_sequences, strict=True)]
        log_probs = np.stack([np.concatenate(scores) for scores, _, _ in answers])
        log_probs[~mask] = 0
        hidden = [namespace(parts[0]).concatenate(parts)[None] for _, parts, _ in answers]
        after = DynamicState(tuple(row for _, _, row in answers))
        return log_probs, namespace(hidden[0]).concatenate(hidden), after

    def _read(self, ids: NDArray[np.int64], counted: Mask, row: SequenceState) -> SequenceAnswer:
        """Read ids (T,) in one sequence."""
        self._load(row.weights)
        own = self._own
        before, tokens, now = row.before, row.tokens, row.now
        known = True  # now is the state after tokens, under the weights as they stand
        scores: list[LogProbs] = []
        hidden: list[Array] = []
        first = 0
        while first < len(ids) or not scores:
            last = first + self.block + 1 - len(tokens)
            piece, asked = ids[first:last], counted[first:last]
            whole = len(tokens) == 1 and len(piece) == self.block
            if not whole:
                now = now if known else own.feed(np.array([tokens]), before)
                found, states, now = self._learner.score(piece, now, asked)
                known = True
                scores.append(found)
                hidden.append(states)
            tokens = (*tokens, *piece.tolist())
            if len(tokens) > self.block:
                read = self._learner.read(before, np.array(tokens))
                if whole:
                    scores.append(read.log_probs)
                    hidden.append(read.hidden)
                self._loaded = ()
                self._step.apply(own.params, own.grads, own.grad_rows)
                before, tokens, known = read.after, tokens[-1:], False
            first = last
        weights = row.weights
        if not self._loaded:
            self._loaded = weights = self._kept_weights()
        if not known:
            now = own.feed(np.array([tokens]), before)
        return scores, hidden, SequenceState(weights, before, tokens, now)

    def _load(self, weights: tuple[Array, ...]) -> None:
        """Give the model these weights, where it does not have them already."""
        if self._loaded is not weights:
            self._loaded = ()
            for param, weight in zip(self._own.params, weights, strict=True):
                param[...] = weight
            self._loaded = weights

    def _kept_weights(self) -> tuple[Array, ...]:
        """Return a copy of the weights as they stand."""
        kept = tuple(param + 0 for param in self._own.params)
        for weight in kept:
            if not is_torch(weight):
                weight.flags.writeable = False
        return kept
