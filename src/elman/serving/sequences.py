"""Jobs and their sequences: what the engine steps, and the channel that carries its results to the event loop."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from elman.generation import Sampler, draw_each
from elman.models.base import LanguageModel, LogProbs

CHANNEL_ITEMS = 256  # unread items, beyond which a job pauses


class Deliveries:
    """Takes items from any thread to the channels of an event loop, with one wake-up of the loop for many items."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[tuple[Channel, Any]] = deque()  # append and popleft are atomic
        self._called = False  # whether `_deliver` will run

    def put(self, channel: "Channel", item: Any) -> None:
        """Send an item to a channel. It is dropped if the loop is closed."""
        self._items.append((channel, item))
        if not self._called:
            self._called = True
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._called = False  # first, so that what comes from now on is delivered now or by another call
        while self._items:
            channel, item = self._items.popleft()
            channel.arrived(item)


class Channel:
    """Carries the items of one request from the engine's thread to the event loop in which it was made.

    ``deliveries`` are those of the loop; several channels that share them wake the loop together.
    """

    def __init__(self, deliveries: Deliveries | None = None) -> None:
        self._deliveries = deliveries or Deliveries()
        self._items: deque[Any] = deque()  # that have arrived
        self._waiter: asyncio.Future[None] | None = None
        self._sent = self._received = self._taken = 0

    @property
    def unread(self) -> int:
        """The number of items that were sent but not received."""
        return self._sent - self._received

    @property
    def full(self) -> bool:
        """Whether the client should read before more is made for it."""
        return self.unread > CHANNEL_ITEMS

    def put(self, item: Any) -> None:
        """Send an item, from any thread. It is dropped if the loop is closed."""
        self._sent += 1
        self._deliveries.put(self, item)

    def arrived(self, item: Any) -> None:
        """Receive an item in the event loop."""
        self._items.append(item)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self) -> Any:
        """Wait for the next item."""
        await self._wait()
        self._received += 1
        return self._items.popleft()

    async def get_all(self) -> list[Any]:
        """Wait for items; return all that have arrived. They count as unread until the next call."""
        self._received += self._taken
        self._taken = 0
        await self._wait()
        items = list(self._items)
        self._items.clear()
        self._taken = len(items)
        return items

    async def _wait(self) -> None:
        if not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


class SequenceTask(Protocol):
    """What is done in a sequence, such as scoring a text or continuing it."""

    @property
    def needs_distribution(self) -> bool:
        """Whether `next` needs the probabilities of the next token."""
        ...

    @property
    def sampler(self) -> "SequenceSampler | None":
        """What draws the next token, if `next` needs one that is drawn."""
        ...

    def next(self, log_probs: LogProbs | None) -> int | None:
        """Return the id to read next, given ln P (V,) where it is needed; None at the end."""
        ...


class SequenceSampler(Protocol):
    """How a sequence's tokens are drawn: by a sampler and a random generator, after changes of ln P.

    ``drawn`` is the next token if it was drawn already, together with those of other sequences.
    """

    sampler: Sampler
    rng: np.random.Generator
    drawn: int | None

    def adjusted(self, log_probs: LogProbs) -> LogProbs:
        """Return ln P (V,) with the changes, if there are any."""
        ...


class Job:
    """A prompt to read, and the tasks that start from its end, each in a sequence of its own.

    Finished tasks are sent through the channel, and so is an error, after which nothing more is done. With
    ``from_nothing`` the prompt is read without the token that starts a text. To cancel a job, set ``cancelled``.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        tasks: Sequence[SequenceTask],
        channel: Channel,
        from_nothing: bool = False,
    ) -> None:
        self.unread = list(prompt)
        self.tasks = list(tasks)
        self.from_nothing = from_nothing
        self.state: Any = None
        self.cancelled = False
        self._channel = channel

    @property
    def paused(self) -> bool:
        """Whether the job waits for its client to read."""
        return self._channel.full and not self.cancelled

    def finished(self, task: SequenceTask) -> None:
        """Report a finished task."""
        self._channel.put(task)

    def failed(self, error: Exception) -> None:
        """Report an error, once; nothing more is done."""
        if not self.cancelled:
            self.cancelled = True
            self._channel.put(error)


@dataclass
class RunningSequence:
    """A task of a job. While it has no slot, ``state`` is where it continues; ``steps`` counts those in its slot."""

    task: SequenceTask
    job: Job
    state: Any
    steps: int = 0


@dataclass(frozen=True)
class Widths:
    """The numbers of rows that a step of a model may have, in ascending order, and the most rows of an output.

    ``output`` divides all of them that are larger.
    """

    steps: tuple[int, ...]
    output: int


class SequenceBatch:
    """Sequences that take every step together, in as few rows as one of the ``widths`` allows.

    A row without a sequence is an empty slot. It is stepped too, to no effect.
    """

    def __init__(self, model: LanguageModel, start: Any, widths: Widths) -> None:
        self._model, self._widths = model, widths
        self._state = start.select([0] * widths.steps[0])
        self.slots: list[RunningSequence | None] = [None] * widths.steps[0]

    @property
    def busy(self) -> int:
        """The number of sequences."""
        return sum(sequence is not None for sequence in self.slots)

    @property
    def room(self) -> int:
        """The number of sequences that can be added."""
        return self._widths.steps[-1] - self.busy

    def add(self, sequences: Sequence[RunningSequence]) -> None:
        """Add sequences, for which there must be room."""
        staying = [slot for slot, sequence in enumerate(self.slots) if sequence is not None]
        count = len(staying) + len(sequences)
        width = next(width for width in self._widths.steps if width >= count)
        rows = [*staying, *range(len(self.slots), len(self.slots) + len(sequences))]
        rows += [0] * (width - count)
        self._state = self._state.join(*(sequence.state for sequence in sequences)).select(rows)
        empty = [None] * (width - count)
        self.slots = [*(self.slots[slot] for slot in staying), *sequences, *empty]
        for sequence in sequences:
            sequence.state, sequence.steps = None, 0

    def remove(self, slot: int) -> RunningSequence:
        """Take an unfinished sequence out, with its state."""
        sequence = self.slots[slot]
        assert sequence is not None
        sequence.state, self.slots[slot] = self._state.select([slot]), None
        return sequence

    def step(self) -> int:
        """Take a step of every sequence; return how many there were. The finished ones leave their slots."""
        running = [(slot, sequence) for slot, sequence in enumerate(self.slots) if sequence is not None]
        if not running:
            return 0
        try:
            log_probs = None
            if any(sequence.task.needs_distribution for _, sequence in running):
                log_probs = self._log_probs()
                draw_together(running, log_probs)
            ids = np.zeros((len(self.slots), 1), np.intp)
            for slot, sequence in running:
                id_ = self._next(slot, sequence, None if log_probs is None else log_probs[slot])
                if id_ is not None:
                    ids[slot] = id_
            if any(self.slots):
                self._state = self._model.feed(ids, self._state)
        except Exception as error:  # any: the other batches must be served
            for slot, sequence in running:
                if self.slots[slot] is not None:
                    self.slots[slot] = None
                    sequence.job.failed(error)
        self._shrink()
        return len(running)

    def _shrink(self) -> None:
        """Leave out empty rows where a smaller width has room for all sequences."""
        if any(self.busy <= width < len(self.slots) for width in self._widths.steps):
            self.add([])

    def _log_probs(self) -> LogProbs:
        """Return ln P of the next token for every row (rows, V)."""
        rows, width = len(self.slots), self._widths.output
        if rows <= width:
            return self._model.next_log_probs(self._state)
        parts = [self._state.select(range(first, first + width)) for first in range(0, rows, width)]
        return np.concatenate([self._model.next_log_probs(part) for part in parts])

    def _next(self, slot: int, sequence: RunningSequence, log_probs: LogProbs | None) -> int | None:
        """Return the id that a sequence reads next. If it is done, failed or cancelled, free its slot: None.

        The slot is free before the client learns of the end, so a client that sees its answer sees the slot free.
        """
        if sequence.job.cancelled:
            self.slots[slot] = None
            return None
        sequence.steps += 1
        try:
            id_ = sequence.task.next(log_probs)
        except Exception as error:
            self.slots[slot] = None
            sequence.job.failed(error)
            return None
        if id_ is None:
            self.slots[slot] = None
            sequence.job.finished(sequence.task)
        return id_


def draw_together(running: Sequence[tuple[int, RunningSequence]], log_probs: LogProbs) -> None:
    """Draw the next token of every sequence that needs one, given ln P (rows, V) and the sequences' rows."""
    given = [(slot, sequence.task.sampler) for slot, sequence in running if not sequence.job.cancelled]
    samplers = [(slot, sampler) for slot, sampler in given if sampler is not None]
    if samplers:
        rows = np.stack([sampler.adjusted(log_probs[slot]) for slot, sampler in samplers])  # (samplers, V)
        ids = draw_each([each.sampler for _, each in samplers], rows, [each.rng for _, each in samplers])
        for (_, sampler), id_ in zip(samplers, ids, strict=True):
            sampler.drawn = id_
