"""Training by truncated backpropagation through time: read blocks in order, and take a training step on each."""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elman.arrays import is_torch
from elman.errors import ConfigError, TextError, TrainingDiverged
from elman.evaluation.perplexity import evaluate, perplexity_of
from elman.models.base import LanguageModel
from elman.one_line import one_line
from elman.plots import plot_perplexities
from elman.training.averaging import Averaging
from elman.training.batches import Minibatches, Wrap
from elman.training.compiled_step import CompiledStep, can_compile_step
from elman.training.optimizers import Optimizer
from elman.training.progress import BlockDone, EpochDone, Event, IntervalDone, Progress
from elman.training.ranks import ALONE, Ranks
from elman.training.schedules import Constant, Schedule
from elman.training.step import TrainingStep, training_step
from elman.training.summed_step import SummedStep
from elman.workers import limited_threads

TOKENS_PER_VALIDATION_SEQUENCE = 5_000  # enough that starting each sequence from zeros hardly counts
PROBE = 50  # 1/50 of the validation text is read first, to estimate how long all of it will take


@dataclass(frozen=True)
class _Validation:
    """A validation text, and how it is read."""

    ids: NDArray[Any]  # (n,)
    eos: int | None
    batch_size: int

    def parts(self, ranks: Ranks) -> list[tuple[NDArray[Any], int]]:
        """Return the texts that a rank reads, each with its number of sequences: together they are the whole text.

        One process reads all. Of several, each has some of the sequences that `evaluate` would cut the text into, and
        the first also what is left at the end.
        """
        if ranks.size == 1:
            return [(self.ids, self.batch_size)]
        known = np.asarray(self.ids)[np.asarray(self.ids) >= 0]
        number = max(1, min(self.batch_size, len(known) // 2))
        length = len(known) // number
        first, last = (number * k // ranks.size for k in (ranks.rank, ranks.rank + 1))
        found = [(known[first * length : last * length], last - first)] if last > first else []
        rest = known[number * length :]
        return [*found, (rest, 1)] if ranks.first and len(rest) else found


class RnnlmTrainer:
    """Trains a model that has ``forward(xs, ts)``, ``backward(dout)``, ``params``, ``grads``, ``reset_state``.

    ``ppl_list`` are the training perplexities. `stop` ends `fit` after the current block, and another `fit` continues
    from there. ``averaging`` may be set to one of `elman.training.averaging`: the validation text is then read with the
    averaged weights, which ``averaging.applied(model.params)`` provides afterwards too. `share` makes it one of several
    processes that train the same model.
    """

    def __init__(self, model: Any, optimizer: Optimizer) -> None:
        self.model = model
        self.optimizer = optimizer
        self.progress = Progress()
        self.schedule: Schedule = Constant()
        self.averaging = Averaging()
        self.ranks: Ranks = ALONE
        self.stopped = False
        self._validation_seconds = 0.0  # of the last validation, or an estimate of the first

    def __repr__(self) -> str:
        return one_line(
            self,
            type(self.model).__name__,
            repr(self.optimizer),
            f"epoch {self.progress.epoch}",
            f"iteration {self.progress.iteration}",
        )

    @property
    def ppl_list(self) -> list[float]:
        """The training perplexities, one every ``eval_interval`` iterations (None: one per epoch)."""
        return self.progress.ppl_list

    def stop(self) -> None:
        """Make `fit` return after the current block. If no `fit` is running, the next one returns at once."""
        self.stopped = True

    def share(self, ranks: Ranks) -> None:
        """Train with other ranks, whose models are in the same state; of the carried state this rank keeps its rows."""
        self.ranks = ranks
        state = self.model.carried_state()
        if state is not None:
            self.model.carry(state.select(range(*ranks.rows(state.batch_size).indices(state.batch_size))))

    def carried_state(self) -> Any:
        """Return the state of all sequences from which the next block starts; None for zeros. All ranks call it."""
        state = self.model.carried_state()
        if state is None:
            return None
        return type(state).from_arrays(
            {name: self.ranks.joined(array) for name, array in state.to_arrays().items()}
        )

    def fit(
        self,
        xs: NDArray[Any],
        ts: NDArray[Any],
        max_epoch: int = 10,
        batch_size: int = 20,
        time_size: int = 35,
        max_grad: float | None = None,
        eval_interval: int | None = 20,
        *,
        max_value: float | None = None,
        reduction: Literal["mean", "sum"] = "mean",
        wrap: Wrap = "circle",
        fresh_at: int | None = None,
        accumulate: int = 1,
        schedule: Schedule | None = None,
        max_iterations: int | None = None,
        time_budget: float | None = None,
        valid: NDArray[Any] | None = None,
        eos: int | None = None,
        patience: int | None = None,
        on_event: Callable[[Event], None] = lambda event: None,
    ) -> None:
        """Train on xs -> ts (n,), epoch by epoch, carrying the hidden state from block to block.

        Training has one owner: while a model is trained, no other thread may train it or read with it.

        The first seven arguments are the textbook's; the others are given by name.

        Args:
            xs: input ids, one long sequence.
            ts: the next id for each of xs.
            max_epoch: epochs to train from here on; one that an earlier `fit` left unfinished counts as one.
            batch_size: N sequences.
            time_size: T steps through which the gradient flows back.
            max_grad: clip the gradients to this global norm.
            eval_interval: append a training perplexity to ``ppl_list`` every so many blocks; None: one per epoch.

            max_value: (gradient) clip every gradient entry to [-max_value, max_value].
            reduction: (gradient) take the gradient of the mean loss over a block's tokens, or of the sum.
            accumulate: (gradient) blocks whose gradients are summed before an update. Such an update counts as one
                block in all of the below; the mean loss is that over the tokens of all its blocks.

            wrap: (text) what happens at the end of the text; see `Minibatches`.
            fresh_at: (text) an id, the end of a line: a sequence whose block begins with it starts from a zero state.
                A model that will score single lines must have learnt such beginnings; the state of a sequence that is
                always carried on may never come near them.

            schedule: (learning rate) a factor on the optimizer's learning rate; constant if not given.

            max_iterations: (end) stop after so many blocks in all.
            time_budget: (end) stop after so many seconds of training in all, including the last validation; one block
                is trained on in any case.
            patience: (end) stop after so many epochs in a row without a better perplexity.

            valid: (validation) ids of a text that is evaluated after each epoch, as a batch of up to N sequences.
            eos: (validation) the end-of-line id from which the first token of ``valid`` is predicted.

            on_event: (progress) called with every interval, every epoch and, last, the block that completed them. The
                state of the trainer at a `BlockDone` is all that is needed to resume from there.

        Raises:
            ConfigError: an argument is out of range, ``valid`` is given for a model that cannot score it, or another
                `fit` is training the model.
            TextError: the text is shorter than one block.
            TrainingDiverged: the loss is NaN or has exploded. The weights are those before that block's update (those
                after it on a GPU, where a recorded step updates before the host reads the loss).
        """
        if reduction not in ("mean", "sum"):
            raise ConfigError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        _check_positive(
            max_grad=max_grad, max_value=max_value, eval_interval=eval_interval, accumulate=accumulate
        )
        if valid is not None and not isinstance(self.model, LanguageModel):
            raise ConfigError("a validation text needs a model that answers the LanguageModel calls")
        validation = (
            None if valid is None else _Validation(valid, eos, _validation_batch_size(valid, batch_size))
        )
        minibatches = Minibatches(xs, ts, batch_size, time_size, wrap)
        per_epoch = updates_per_epoch(minibatches, accumulate)
        rows = self.ranks.rows(batch_size)
        minibatches.position = self.progress.position
        self.schedule = schedule if schedule is not None else self.schedule
        self._uniform_nll = math.log(getattr(self.model, "vocab_size", None) or int(np.max(ts)) + 1)
        progress = self.progress
        if progress.smooth_loss is None:
            progress.smooth_loss = time_size * self._uniform_nll
        blocks = progress.iteration - progress.block_in_epoch + max_epoch * per_epoch
        blocks = blocks if max_iterations is None else min(blocks, max_iterations)
        before, began = progress.seconds, time.perf_counter()
        base_lr = self.optimizer.lr

        def deadline() -> float:
            """Return the seconds at which to stop, so that a validation still fits into the budget."""
            budget = math.inf if time_budget is None else time_budget
            return budget - min(self._validation_seconds, budget / 2)

        def in_time() -> bool:
            return progress.seconds < deadline()

        def continues() -> bool:
            (stopped,) = self.ranks.largest(self.stopped)
            patient = patience is None or progress.epochs_without_gain < patience
            first = progress.iteration == 0  # is trained on even if all the time has gone into preparations
            return progress.iteration < blocks and (first or in_time()) and patient and not stopped

        largest = 0  # torch has threads of its own
        if not is_torch(self.model.params[0]):
            largest = (rows.stop - rows.start) * time_size * max(p.size for p in self.model.params)
        options = self.model, self.optimizer, max_grad, max_value, reduction, self._check
        step: TrainingStep
        if accumulate == 1 and self.ranks.size == 1:
            step = CompiledStep(*options) if can_compile_step(self.model) else training_step(*options)
        else:
            step = SummedStep(*options, ranks=self.ranks)

        def clock() -> float:
            own = before + time.perf_counter() - began
            return own if time_budget is None else self.ranks.largest(own)[0]  # all stop at the same update

        with _only_training_of(self.model), limited_threads(largest), self._restoring(base_lr):
            if time_budget is not None and validation is not None and not self._validation_seconds:
                self._estimate_validation_seconds(validation)
            while continues():
                done = max(progress.iteration / blocks, progress.seconds / deadline()) if in_time() else 0.0
                self.optimizer.lr = base_lr * self.schedule.factor(done)
                self.averaging.progress(done)
                with np.errstate(all="ignore"):  # an overflow shows in the loss and the norm
                    loss, norm = self._update(step, minibatches, accumulate, fresh_at)
                self.averaging.update(self.model.params)
                progress.seconds = clock()
                interval = self._count(loss, norm, minibatches, eval_interval)
                events: list[Event] = [] if interval is None else [interval]
                block = self._block_done(loss, norm, accumulate * batch_size * time_size)
                whole = progress.block_in_epoch >= per_epoch
                if whole or progress.iteration == blocks or not in_time():
                    events.append(self._finish_epoch(whole, eval_interval, validation))
                    progress.seconds = clock()
                for event in (*events, block):
                    on_event(event)
        if time_budget is not None and not in_time():
            progress.seconds = max(
                progress.seconds, time_budget
            )  # the time reserved for the validation counts as used

    @contextlib.contextmanager
    def _restoring(self, base_lr: float) -> Iterator[None]:
        """After the block, however it ends, restore the optimizer's learning rate and forget a `stop`."""
        try:
            yield
        finally:
            self.optimizer.lr = base_lr
            self.stopped = False

    def _update(
        self, step: TrainingStep, minibatches: Minibatches, accumulate: int, fresh_at: int | None
    ) -> tuple[float, float]:
        """Train on the next blocks; return their mean loss in nats and the gradient's global norm before clipping."""
        blocks = [minibatches.next() for _ in range(accumulate)]
        step.begin([ts for _, ts, _ in blocks])
        for xs, ts, restarted in blocks:
            first = xs[self.ranks.rows(len(xs)), 0]  # of this rank's sequences
            if restarted:
                self.model.reset_state()
            elif fresh_at is not None and (fresh := np.flatnonzero(first == fresh_at)).size:
                self.model.reset_state(fresh)
            step.add(xs, ts)
        return step.finish()

    def _check(self, loss: float, norm: float) -> None:
        """Raise TrainingDiverged if the loss is not a number any more, or far above that of guessing."""
        progress = self.progress
        recent = loss if progress.recent_nll is None else 0.9 * progress.recent_nll + 0.1 * loss
        if not math.isfinite(loss):
            what = "the loss is not a number"
        elif not math.isfinite(norm):
            what = "the gradient is not a number"
        elif recent > 2 * self._uniform_nll + 2:
            what = f"the loss has exploded, to a perplexity of {math.exp(min(recent, 700)):.3g} over the last blocks"
        else:
            progress.recent_nll = recent
            return
        raise TrainingDiverged(
            f"iteration {progress.iteration + 1}: {what} (loss {loss:.4g} nats, gradient norm {norm:.4g}, "
            f"learning rate {self.optimizer.lr:.4g}); try a smaller learning rate, or a smaller norm to clip to"
        )

    def _count(
        self, loss: float, norm: float, minibatches: Minibatches, eval_interval: int | None
    ) -> IntervalDone | None:
        """Add one block to the progress; return the interval that it completes, if any."""
        progress = self.progress
        progress.smooth_loss = 0.999 * (progress.smooth_loss or 0.0) + 0.001 * loss * minibatches.time_size
        progress.iteration += 1
        progress.block_in_epoch += 1
        progress.position = minibatches.position
        progress.epoch_nll += loss
        progress.interval_nll += loss
        progress.interval_norm += norm
        progress.interval_blocks += 1
        if eval_interval is None or progress.interval_blocks < eval_interval:
            return None
        perplexity = math.exp(progress.interval_nll / progress.interval_blocks)
        grad_norm = progress.interval_norm / progress.interval_blocks
        progress.interval_nll, progress.interval_norm, progress.interval_blocks = 0.0, 0.0, 0
        progress.ppl_list.append(perplexity)
        return IntervalDone(
            progress.iteration,
            progress.epoch + 1,
            perplexity,
            progress.smooth_loss,
            grad_norm,
            self.optimizer.lr,
            progress.seconds,
        )

    def _block_done(self, loss: float, norm: float, tokens: int) -> BlockDone:
        progress = self.progress
        return BlockDone(
            progress.iteration,
            progress.epoch + 1,
            loss,
            progress.smooth_loss or 0.0,
            norm,
            self.optimizer.lr,
            tokens,
            progress.seconds,
        )

    def _finish_epoch(
        self,
        whole: bool,
        eval_interval: int | None,
        validation: _Validation | None,
    ) -> EpochDone:
        """Validate, and record whether this is the best perplexity so far; if the epoch is whole, begin the next."""
        progress = self.progress
        epoch = progress.epoch + 1
        perplexity = math.exp(progress.epoch_nll / progress.block_in_epoch)
        measured, valid_perplexity = perplexity, None
        if validation is not None:
            with self.averaging.applied(self.model.params):
                measured = valid_perplexity = self._validate(validation)
        improved = measured < progress.best_perplexity
        if improved:
            progress.best_perplexity = measured
        if whole:
            progress.epochs_without_gain = 0 if improved else progress.epochs_without_gain + 1
            self.schedule.epoch_end(measured)
            self.averaging.epoch_end(measured)
            if eval_interval is None:
                progress.ppl_list.append(perplexity)
            progress.epoch, progress.block_in_epoch, progress.epoch_nll = epoch, 0, 0.0
        return EpochDone(
            epoch,
            progress.iteration,
            perplexity,
            valid_perplexity,
            improved,
            self.optimizer.lr,
            progress.seconds,
        )

    def _validate(self, validation: _Validation) -> float:
        """Return the perplexity of known tokens; record how long it took. Each rank reads a part of the text."""
        began = time.perf_counter()
        parts = validation.parts(self.ranks)
        sums = self.ranks.together(lambda: self._nll_and_tokens(parts, validation.eos))
        (self._validation_seconds,) = self.ranks.largest(time.perf_counter() - began)
        nll, tokens = (sum(each) for each in zip(*sums, strict=True))
        return perplexity_of(nll / tokens) if tokens else math.nan

    def _nll_and_tokens(self, parts: list[tuple[NDArray[Any], int]], eos: int | None) -> tuple[float, int]:
        """Return -ln P of the known tokens of texts, each read as a batch of so many sequences, and their number."""
        nll, tokens = 0.0, 0
        for ids, batch_size in parts:
            found = evaluate(
                self.model, ids, eos=eos, batch_size=batch_size, watch=lambda *block: self.ranks.beat()
            )
            nll += found.nll_nats - found.unknown_nll_nats
            tokens += found.tokens - found.unknown
        return nll, tokens

    def _estimate_validation_seconds(self, validation: _Validation) -> None:
        """Read a part of the validation text to estimate how long all of it will take."""
        tokens = max(1, len(validation.ids) // PROBE)
        part = _Validation(validation.ids[:tokens], validation.eos, validation.batch_size)
        for _ in range(2):  # the first fills buffers and caches
            self._validate(part)
        self._validation_seconds *= len(validation.ids) / tokens

    def plot(self, path: str | None = None) -> Any:
        """Draw ``ppl_list`` with matplotlib and return the figure; save it if a path is given."""
        return plot_perplexities(self.ppl_list, path)


def updates_per_epoch(minibatches: Minibatches, accumulate: int) -> int:
    """Return how many updates on ``accumulate`` blocks each make an epoch.

    Raises:
        TextError: the text is too short for one.
    """
    blocks = minibatches.blocks_per_epoch
    if blocks < accumulate:
        raise TextError(
            f"the text is too short: {blocks} blocks of {minibatches.batch_size} × {minibatches.time_size} tokens, but "
            f"an update needs {accumulate} (`accumulate={accumulate}`); give more text, or smaller blocks"
        )
    return blocks // accumulate


def _validation_batch_size(valid: NDArray[Any], batch_size: int) -> int:
    return max(1, min(batch_size, len(valid) // TOKENS_PER_VALIDATION_SEQUENCE))


_in_training: set[int] = set()  # the id() of every model that a `fit` trains now
_in_training_lock = threading.Lock()


@contextlib.contextmanager
def _only_training_of(model: Any) -> Iterator[None]:
    """Raise ConfigError if another `fit` is training the model; within the block, no other may begin."""
    with _in_training_lock:
        if id(model) in _in_training:
            raise ConfigError("the model is being trained by another fit; wait until it has ended")
        _in_training.add(id(model))
    try:
        yield
    finally:
        _in_training.discard(id(model))


def _check_positive(**limits: float | None) -> None:
    for name, value in limits.items():
        if value is not None and not value > 0:
            raise ConfigError(f"{name} must be above 0, or None; got {value}")
