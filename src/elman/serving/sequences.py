"""Jobs and their sequences: what the engine steps, and the channel that carries its results to the event loop."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from elman.models.base import LanguageModel, LogProbs

CHANNEL_ITEMS = 256  # unread items, beyond which a job pauses


class Channel:
    """Carries items from the engine's thread to the event loop in which it was made."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._sent = self._received = 0

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
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    async def get(self) -> Any:
        """Wait for the next item."""
        item = await self._queue.get()
        self._received += 1
        return item


class SequenceTask(Protocol):
    """What is done in a sequence, such as scoring a text or continuing it."""

    @property
    def needs_distribution(self) -> bool:
        """Whether `next` needs the probabilities of the next token."""
        ...

    def next(self, log_probs: LogProbs | None) -> int | None:
        """Return the id to read next, given ln P (V,) where it is needed; None at the end."""
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


class SequenceBatch:
    """``width`` slots whose sequences take every step together. An empty slot is stepped too, to no effect."""

    def __init__(self, model: LanguageModel, start: Any, width: int) -> None:
        self._model = model
        self._state = start.select([0] * width)
        self.slots: list[RunningSequence | None] = [None] * width

    @property
    def free(self) -> list[int]:
        """The empty slots."""
        return [slot for slot, sequence in enumerate(self.slots) if sequence is None]

    @property
    def busy(self) -> int:
        """The number of slots with a sequence."""
        return sum(sequence is not None for sequence in self.slots)

    def add(self, sequences: list[RunningSequence]) -> None:
        """Put sequences into empty slots, of which there must be enough."""
        order = list(range(len(self.slots)))
        for k, (slot, sequence) in enumerate(zip(self.free, sequences, strict=False)):
            self.slots[slot], sequence.steps = sequence, 0
            order[slot] = len(order) + k
        self._state = self._state.join(*(sequence.state for sequence in sequences)).select(order)
        for sequence in sequences:
            sequence.state = None

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
                log_probs = self._model.next_log_probs(self._state)
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
        return len(running)

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
