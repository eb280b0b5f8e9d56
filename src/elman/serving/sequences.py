"""Sequences that are scored or continued, a token a step, several in one step of the model.

Sequences: texts that are scored or continued, a token a step, several in one step of the model.

A job: what a request has the engine do, and the channel through which it hears of it.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from elman.models.base import LanguageModel, LogProbs


class Work(Protocol):
    """What happens in a sequence."""

    @property
    def needs_distribution(self) -> bool:
        """Whether `next` has to know what may come next."""
        ...

    def next(self, log_probs: LogProbs | None) -> int | None:
        """Return the id to be read next, given ln P (V,) of all of them where it is needed; None at the end."""
        ...


class Owner(Protocol):
    """Whose sequences these are."""

    cancelled: bool

    @property
    def held(self) -> bool:
        """Whether their client has to read first."""
        ...

    def finished(self, work: Work) -> None:
        """Take note of a work that is done."""
        ...

    def failed(self, error: Exception) -> None:
        """Take note of an error, after which nothing more is done."""
        ...


@dataclass
class RunningSequence:
    """A work, the one-sequence state that it goes on from (while it waits), and the steps since it came in."""

    work: Work
    owner: Owner
    state: Any
    steps: int = 0


class Bank:
    """W sequences that take every step together, always all of them: those without work read on, to no end."""

    def __init__(self, model: LanguageModel, start: Any, width: int) -> None:
        self._model = model
        self._state = start.select([0] * width)
        self.slots: list[RunningSequence | None] = [None] * width

    @property
    def free(self) -> list[int]:
        """The places without work."""
        return [place for place, row in enumerate(self.slots) if row is None]

    def join(self, newcomers: list[RunningSequence]) -> None:
        """Put sequences, no more than there are free places, between two steps."""
        order = list(range(len(self.slots)))
        for k, (place, row) in enumerate(zip(self.free, newcomers, strict=False)):
            self.slots[place], row.steps = row, 0
            order[place] = len(order) + k
        self._state = self._state.join(*(row.state for row in newcomers)).select(order)
        for row in newcomers:
            row.state = None

    def leave(self, place: int) -> RunningSequence:
        """Take a sequence out, with the state to go on from."""
        row = self.slots[place]
        assert row is not None
        row.state, self.slots[place] = self._state.select([place]), None
        return row

    def step(self) -> int:
        """Let every sequence with work take a step; return how many took one."""
        working = [(place, row) for place, row in enumerate(self.slots) if row is not None]
        if not working:
            return 0
        try:
            log_probs = self._distributions([row for _, row in working])
            ids = np.zeros((len(self.slots), 1), np.intp)
            for place, row in working:
                found = self._next(row, None if log_probs is None else log_probs[place])
                if found is None:
                    self.slots[place] = None
                else:
                    ids[place] = found
            if any(self.slots):
                self._state = self._model.feed(ids, self._state)
        except Exception as error:  # whatever it is, the other requests are to be served
            for place, row in working:
                self.slots[place] = None
                row.owner.failed(error)
        return len(working)

    def _distributions(self, rows: list[RunningSequence]) -> LogProbs | None:
        if any(row.work.needs_distribution for row in rows):
            return self._model.next_log_probs(self._state)
        return None

    def _next(self, row: RunningSequence, log_probs: LogProbs | None) -> int | None:
        """Return the id that a sequence reads next; None where it is done, has failed or is not wanted any more."""
        if row.owner.cancelled:
            return None
        row.steps += 1
        try:
            found = row.work.next(log_probs)
        except Exception as error:
            row.owner.failed(error)
            return None
        if found is None:
            row.owner.finished(row.work)
        return found


FULL = 256  # items


class Channel:
    """Carries what happens in an engine's thread to the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._sent = self._received = 0

    @property
    def full(self) -> bool:
        """Whether so much is on its way that more had better wait until the client has read some of it."""
        return self._sent - self._received > FULL

    def put(self, item: Any) -> None:
        """Send an item, from any thread; it goes nowhere where the loop is closed."""
        self._sent += 1
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    async def get(self) -> Any:
        """Wait for the next item."""
        item = await self._queue.get()
        self._received += 1
        return item


class Job:
    """A prompt to read and works that go on from its end, each in a sequence of its own.

    ``from_nothing`` reads it without the token that a text begins after. A work that is done is sent through the
    channel, and so is an error.
    """

    def __init__(
        self, prompt: Sequence[int], works: Sequence[Work], channel: Channel, from_nothing: bool = False
    ) -> None:
        self.unread = list(prompt)
        self.works = list(works)
        self.from_nothing = from_nothing
        self.state: Any = None
        self.cancelled = False
        self._channel = channel

    @property
    def held(self) -> bool:
        """Whether the job has to wait for its client."""
        return self._channel.full and not self.cancelled

    def finished(self, work: Work) -> None:
        """Tell of a work that is done."""
        self._channel.put(work)

    def failed(self, error: Exception) -> None:
        """Tell of an error, once; nothing more is done."""
        if not self.cancelled:
            self.cancelled = True
            self._channel.put(error)
