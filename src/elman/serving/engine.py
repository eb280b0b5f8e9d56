"""The engine: one thread that takes the steps of a model, for the sequences of many requests at once.

Every text moves on by a token a step, whether it is scored or continued; where there are more texts than sequences,
each has a slice of steps, and then waits behind the others. One whose client does not read waits for that.
Prompts of which nothing but the state is wanted are read in pieces between the steps, a few tokens at a time. So
no text, however long, keeps another waiting for long.

What a text's numbers are does not depend on the others: a prompt is cut into pieces by its own length alone and
read by itself, and all steps are of the same shape (see `elman.serving.engine`).

How many sequences take a step together, such that no sequence's numbers depend on the others, to the last bit.

A matrix product of 8 rows may round otherwise than one of 1 or of 12, and a row at one place of a block of rows
otherwise than at another: BLAS libraries choose their loops by the shape. A row does not depend on what stands in
the other rows. So all steps are of the same number of sequences, and that number is one with which, on this machine
and with this model, a sequence's place does not matter. One sequence alone always will do.
"""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from elman.models.base import LanguageModel, begin
from elman.serving.sequences import Bank, Job, RunningSequence
from elman.text_model import TextModel
from elman.workers import limited_threads

WIDTHS = (8, 4, 2)
STEPS = 6


def exact_width(model: LanguageModel, start: Any) -> int:
    """Return the largest of `WIDTHS` at which a sequence's row does not matter, or 1; ``start`` has one sequence."""
    return next((width for width in WIDTHS if results_are_row_independent(model, start, width)), 1)


def results_are_row_independent(model: LanguageModel, start: Any, width: int) -> bool:
    """Tell whether so many sequences with the same text have the same probabilities, bit by bit."""
    state = start.select([0] * width)
    for id_ in np.random.default_rng(0).integers(0, model.vocab_size, STEPS):
        state = model.feed(np.full((width, 1), id_), state)
        log_probs = model.next_log_probs(state)
        if any(row.tobytes() != log_probs[0].tobytes() for row in log_probs[1:]):
            return False
    return True


PIECE = 64  # tokens of a prompt read at once
READ_AHEAD = 128  # tokens of prompts read between two steps
SLICE = 64  # steps before a sequence makes room
HELD_SECONDS = 0.02  # between looks at clients that have to read first


class Engine:
    """Takes the steps of a model for many jobs at once, in a thread of its own.

    ``width`` is the number of sequences of a step (None: see `exact_width`), ``batch_size`` that of all, taken
    ``width`` at a time. `submit` may be called from any thread.
    """

    def __init__(self, text_model: TextModel, batch_size: int = 64, width: int | None = None) -> None:
        self.text_model = text_model
        self._size, self._width = batch_size, width
        self._changed = threading.Condition()
        self._arrived: deque[Job] = deque()
        self._reading: deque[Job] = deque()
        self._waiting: deque[RunningSequence] = deque()
        self._held: list[RunningSequence] = []  # until their clients have read
        self._banks: list[Bank] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="elman-engine", daemon=True)
        self.steps = self.tokens_read = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread; jobs that are not done fail."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def submit(self, job: Job) -> None:
        """Hand over a job; where the thread has ended, it fails."""
        if not self.alive:
            job.failed(RuntimeError("the engine is not running"))
            return
        with self._changed:
            self._arrived.append(job)
            self._changed.notify()

    @property
    def width(self) -> int | None:
        """The number of sequences that take a step together; None before it is known."""
        return self._width

    @property
    def alive(self) -> bool:
        """Whether the thread is there."""
        return self._thread.is_alive()

    @property
    def busy(self) -> int:
        """The number of sequences at work."""
        return sum(row is not None for bank in self._banks for row in bank.slots)

    @property
    def waiting(self) -> int:
        """The number of texts that wait for a sequence, or are being read before they have one."""
        jobs = [*self._arrived, *self._reading]
        return len(self._waiting) + len(self._held) + sum(len(job.works) for job in jobs)

    def _run(self) -> None:
        try:
            with limited_threads(0):
                self._work()
        finally:
            self._abandon()

    def _work(self) -> None:
        """Do what arrives, until the engine is to stop."""
        model = self.text_model.model
        self._begun = begin(model, self.text_model.start_id)
        width = exact_width(model, self._begun) if self._width is None else self._width
        self._begun = begin(model, self.text_model.start_id, width).select([0])
        self._width = width
        self._banks = [Bank(model, self._begun, width) for _ in range(-(-self._size // width))]
        while self._take_arrivals():
            self._read_some()
            self._admit()
            for bank in self._banks:
                self.steps += bank.step()

    def _take_arrivals(self) -> bool:
        """Wait for something to do; return False where the engine is to stop."""
        with self._changed:
            while not (self._stopping or self._arrived or self._reading or self._waiting or self.busy):
                self._changed.wait(HELD_SECONDS if self._held else None)
                self._release()
            while self._arrived:
                job = self._arrived.popleft()
                job.state = self.text_model.null_context() if job.from_nothing else self._begun
                self._reading.append(job)
            return not self._stopping

    def _read_some(self) -> None:
        """Read pieces of prompts, each prompt in its turn; a job whose prompt is read has sequences that wait."""
        budget = READ_AHEAD
        while self._reading and budget > 0:
            job = self._reading.popleft()
            if job.cancelled:
                continue
            piece = job.unread[:PIECE]
            try:
                if len(piece):
                    job.state = self.text_model.model.feed(np.asarray(piece, np.intp)[None], job.state)
            except Exception as error:  # whatever it is, the other requests are to be served
                job.failed(error)
                continue
            job.unread = job.unread[PIECE:]
            budget -= max(1, len(piece))
            self.tokens_read += len(piece)
            if job.unread:
                self._reading.append(job)
            else:
                self._waiting.extend(RunningSequence(work, job, job.state) for work in job.works)

    def _admit(self) -> None:
        """Give the sequences that wait a place, where there is one or where others have had their slice."""
        self._release()
        for bank in self._banks:
            held = [place for place, row in enumerate(bank.slots) if row is not None and row.owner.held]
            self._held += map(bank.leave, held)
        while self._waiting and self._waiting[0].owner.cancelled:
            self._waiting.popleft()
        if not self._waiting:
            return
        room = sum(len(bank.free) for bank in self._banks)
        self._make_room(len(self._waiting) - room)
        for bank in self._banks:
            newcomers: list[RunningSequence] = []
            while self._waiting and len(newcomers) < len(bank.free):
                row = self._waiting.popleft()
                if not row.owner.cancelled:
                    newcomers.append(row)
            if newcomers:
                bank.join(newcomers)

    def _release(self) -> None:
        """Let sequences wait like others whose clients have read, or are gone."""
        held, self._held = self._held, []
        for row in held:
            (self._held if row.owner.held else self._waiting).append(row)

    def _make_room(self, wanted: int) -> None:
        """Let sequences that have had their slice wait behind the others, as many as are wanted."""
        for bank in self._banks:
            for place, row in enumerate(bank.slots):
                if wanted <= 0:
                    return
                if row is not None and row.steps >= SLICE:
                    self._waiting.append(bank.leave(place))
                    wanted -= 1

    def _abandon(self) -> None:
        """Tell those who still wait that nothing will come."""
        at_work = (row for bank in self._banks for row in bank.slots if row is not None)
        owners: Sequence[Any] = [*self._arrived, *self._reading]
        for owner in (*owners, *(row.owner for row in (*self._waiting, *self._held, *at_work))):
            owner.failed(RuntimeError("the server is stopping"))
