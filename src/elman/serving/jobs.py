"""A job: what a request has the engine do, and the channel through which it hears of it."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from elman.serving.lanes import Work

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
    """A prompt to read and works that go on from its end, each in a lane of its own.

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
