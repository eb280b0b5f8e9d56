"""Dynamic evaluation: a model whose weights keep learning from the text that it reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import Array, namespace, to_numpy
from elman.errors import ConfigError
from elman.models.adaptive.learner import GradientStep, Learner
from elman.models.base import Ids, LanguageModel, LogProbs, Mask, checked_ids, checked_mask
from elman.one_line import number_of, one_line
from elman.workers import Pool


@dataclass(frozen=True, eq=False)
class SequenceState:
    """One sequence: its ``weights``, the model's state ``before`` the first of ``tokens``, and its state ``now``.

    The tokens are the last one of the previous block, from which the first of this block is predicted, and those of
    this block so far. ``now`` follows from the others. The arrays are never changed.
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
    """The `SequenceState` of N sequences, each with its own weights."""

    of_sequences: tuple[SequenceState, ...]

    def __repr__(self) -> str:
        return one_line(self, number_of(self.batch_size, "sequence"))

    @property
    def batch_size(self) -> int:
        """The number N of sequences."""
        return len(self.of_sequences)

    @property
    def h(self) -> tuple[Array, ...]:
        """The hidden state (N, H) of every layer of a recurrent model, produced by the adapted weights."""
        first, *others = (row.now for row in self.of_sequences)
        h: tuple[Array, ...] = first.join(*others).h
        return h

    def select(self, rows: Sequence[int] | Ids) -> "DynamicState":
        """Return the state of these sequences, in this order; a sequence may be repeated or left out."""
        return DynamicState(tuple(self.of_sequences[row] for row in rows))

    def join(self, *others: "DynamicState") -> "DynamicState":
        """Return one state with this state's sequences followed by those of the others."""
        return DynamicState(tuple(row for state in (self, *others) for row in state.of_sequences))


SequenceResult = tuple[list[LogProbs], list[Array], SequenceState]


class DynamicModel:
    """A model that, after every ``block`` tokens, takes one step down the gradient of their loss.

    A token is always predicted by weights that have not seen it. The weights are part of the state and separate for
    every sequence; those of the wrapped model are never changed. The very first token of a text, which has no past,
    is not learnt from. (T. Mikolov et al., Recurrent neural network based language model, Interspeech 2010;
    B. Krause et al., Dynamic evaluation of neural sequence models, ICML 2018.)

    Args:
        model: a recurrent or window model; it is copied, without dropout.
        lr, decay, squares, clip_norm, epsilon: the step, see `GradientStep`; ``squares`` are from `mean_squares`.
        block: tokens per step.

    A state after a step holds its own copy of all weights; to save memory, read many tokens per call.

    Raises:
        ConfigError: the model is of another kind, block is below 1, or a parameter of the step is out of range.
        TrainingDiverged: (while reading) the loss is no longer finite.
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
            raise ConfigError(f"a block of dynamic evaluation must be ≥ 1 token, got {block}")
        self.model, self.block, self.scaled = model, block, squares is not None
        self._learners = Pool(partial(Learner, model))  # one for each thread that reads
        with self._learners.borrow() as learner:
            self._originals = learner.weights()
        self._step = GradientStep(self._originals, lr, decay, clip_norm, squares, epsilon)

    def __repr__(self) -> str:
        return one_line(self, repr(self.model), f"lr={self._step.lr:g}", f"block={self.block}")

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens."""
        return self.model.vocab_size

    @property
    def definition(self) -> str:
        """The definition of the steps, for display."""
        step = self._step
        kind = "gradients over the root of their mean squares" if self.scaled else "plain gradients"
        clipped = "" if step.clip_norm is None else f", clipped to norm {step.clip_norm:g}"
        return f"a step every {self.block} tokens: {kind}{clipped}, lr {step.lr:g}, decay {step.decay:g}"

    def start(self, batch_size: int = 1) -> DynamicState:
        """Return the initial state of N sequences, which have read nothing."""
        nothing = self.model.start()
        return DynamicState((SequenceState(self._originals, nothing, (), nothing),) * batch_size)

    def feed(self, ids: Ids, state: DynamicState) -> DynamicState:
        """Read ids (N, T) after ``state``; return the state that follows."""
        no_token = np.zeros(np.shape(ids), np.bool_)
        return self.target_log_probs_and_hidden(ids, state, no_token)[2]

    def next_log_probs(self, state: DynamicState) -> LogProbs:
        """Return ln P(next = v | past) for every v: (N, V)."""
        rows = []
        with self._learners.borrow() as learner:
            for row in state.of_sequences:
                learner.load(row.weights)
                rows.append(learner.model.next_log_probs(row.now))
        return np.concatenate(rows)

    def target_log_probs(
        self, ids: Ids, state: DynamicState, counted: Mask | None = None
    ) -> tuple[LogProbs, DynamicState]:
        """Return ln P(ids[n, t] | past of sequence n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False, the result is 0.
        """
        log_probs, _, after = self.target_log_probs_and_hidden(ids, state, counted)
        return log_probs, after

    def target_log_probs_and_hidden(
        self, ids: Ids, state: DynamicState, counted: Mask | None = None
    ) -> tuple[LogProbs, Array, DynamicState]:
        """Return the results of `target_log_probs` and, between them, the top layer's h that predicts each token."""
        ids = checked_ids(ids, state.batch_size, self.vocab_size)
        mask = np.ones(ids.shape, np.bool_) if counted is None else checked_mask(counted, ids.shape)
        with self._learners.borrow() as learner:
            results = [self._read(learner, *row) for row in zip(ids, mask, state.of_sequences, strict=True)]
        log_probs = np.stack([np.concatenate(scores) for scores, _, _ in results])
        log_probs[~mask] = 0
        hidden = [namespace(parts[0]).concatenate(parts)[None] for _, parts, _ in results]
        after = DynamicState(tuple(row for _, _, row in results))
        return log_probs, namespace(hidden[0]).concatenate(hidden), after

    def _read(
        self, learner: Learner, ids: NDArray[np.int64], counted: Mask, row: SequenceState
    ) -> SequenceResult:
        """Read ids (T,) in one sequence; return ln P and h, in parts, and the state after them."""
        learner.load(row.weights)
        model = learner.model
        before, tokens, now = row.before, row.tokens, row.now
        known = True  # whether `now` is the state after `tokens` under the present weights
        scores: list[LogProbs] = []
        hidden: list[Array] = []
        first, stepped = 0, False
        while first < len(ids) or not scores:
            last = first + self.block + 1 - len(tokens)
            part, part_counted = ids[first:last], counted[first:last]
            whole = len(tokens) == 1 and len(part) == self.block
            if not whole:
                now = now if known else model.feed(np.array([tokens]), before)
                found, states, now = learner.score(part, now, part_counted)
                known = True
                scores.append(found)
                hidden.append(states)
            tokens = (*tokens, *part.tolist())
            if len(tokens) > self.block:
                read = learner.read(before, np.array(tokens))
                if whole:
                    scores.append(read.log_probs)
                    hidden.append(read.hidden)
                learner.step(self._step)
                stepped = True
                before, tokens, known = read.after, tokens[-1:], False
            first = last
        weights = learner.weights() if stepped else row.weights
        if not known:
            now = model.feed(np.array([tokens]), before)
        return scores, hidden, SequenceState(weights, before, tokens, now)
