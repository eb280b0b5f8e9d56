"""The engine: one thread that takes the steps of a model for the sequences of many requests at once.

Every sequence advances by one token a step, whether it is scored or continued. Where there are more sequences than
slots, each has a turn of `TURN_STEPS` steps and then queues behind the others. A sequence whose client does not read
pauses. Prompts of which only the final state is needed are read in parts between the steps, a few tokens at a time.
So no text, however long, makes another one wait for long.

The numbers of a text do not depend on the others, to the last bit. A prompt is read alone, in parts that depend on
its own length only, and steps have only a few shapes. That is necessary: BLAS libraries choose their loops by shape,
so a matrix product of 8 rows may round differently from one of 1 or of 12, and a row at one place of a block
differently from a row at another. `exact_width` finds a number of rows at which, on this machine and with this model,
the place does not matter. A single row always qualifies. `exact_widths` finds larger numbers of rows that give the
same bits. Many sequences are then one step instead of several, each of which would read all weights again.
"""

import threading
from collections import deque
from typing import Any

import numpy as np

from elman.evaluation.line_scores import warm_up
from elman.models.base import LanguageModel, begin
from elman.serving.sequences import Job, RunningSequence, SequenceBatch, Widths
from elman.text_model import TextModel
from elman.workers import limited_threads

WIDTHS = (8, 4, 2)
LARGER_WIDTHS = (16, 32, 64)
WIDTH_TEST_STEPS = 6
PROMPT_PART = 64  # tokens of a prompt read at once
READ_AHEAD = 64  # tokens of prompts read between two steps, for which all sequences wait
TURN_STEPS = 64  # steps before a sequence makes room for others
PAUSE_SECONDS = 0.02  # between checks of paused sequences while nothing else is to do


def exact_width(model: LanguageModel, start: Any) -> int:
    """Return the largest of `WIDTHS` at which a sequence's row does not matter, or 1; ``start`` has one sequence."""
    return next((width for width in WIDTHS if results_are_row_independent(model, start, width)), 1)


def results_are_row_independent(model: LanguageModel, start: Any, width: int) -> bool:
    """Return whether ``width`` sequences with the same text have the same probabilities, bit by bit."""
    state = start.select([0] * width)
    for id_ in np.random.default_rng(0).integers(0, model.vocab_size, WIDTH_TEST_STEPS):
        state = model.feed(np.full((width, 1), id_), state)
        log_probs = model.next_log_probs(state)
        if any(row.tobytes() != log_probs[0].tobytes() for row in log_probs[1:]):
            return False
    return True


def exact_widths(model: LanguageModel, start: Any, most: int) -> Widths:
    """Return `exact_width`, and those of `LARGER_WIDTHS` up to ``most`` that give the same bits.

    ``start`` has one sequence.
    """
    base = exact_width(model, start)
    larger, output = [], base
    for width in (width for width in LARGER_WIDTHS if width <= most):
        narrow, wide = start.select([0] * base), start.select([0] * width)
        same = same_output = width % output == 0
        for id_ in np.random.default_rng(1).integers(0, model.vocab_size, WIDTH_TEST_STEPS):
            narrow = model.feed(np.full((base, 1), id_), narrow)
            wide = model.feed(np.full((width, 1), id_), wide)
            same = same and all(wide.select(range(k, k + base)) == narrow for k in range(0, width, base))
            if same and same_output:
                expected = model.next_log_probs(narrow)[0].tobytes()
                same_output = all(row.tobytes() == expected for row in model.next_log_probs(wide))
        if same:
            larger.append(width)
            output = width if same_output else output
    return Widths((base, *larger), output)


class Engine:
    """Takes the steps of a model for many jobs at once.

    ``width`` is the number of sequences of one step (None: see `exact_widths`), ``batch_size`` the number of all that
    have a slot. `start` runs the engine in a thread. Without it, call `prepare` once and then `step` as often as
    needed. `submit`, `busy`, `waiting` and `wait_until_idle` may be called from any thread.
    """

    def __init__(self, text_model: TextModel, batch_size: int = 64, width: int | None = None) -> None:
        self.text_model = text_model
        self._batch_size = batch_size
        self._widths = None if width is None else Widths((width,), width)
        self._changed = (
            threading.Condition()
        )  # guards the queues and slots, from which others read the counts
        self._arrived: deque[Job] = deque()
        self._reading: deque[Job] = deque()
        self._waiting: deque[RunningSequence] = deque()
        self._paused: list[RunningSequence] = []  # until their clients have read
        self._batches: list[SequenceBatch] = []
        self._stopping = self._stopped = False
        self._thread = threading.Thread(target=self._run, name="elman-engine", daemon=True)
        self.steps = self.tokens_read = 0

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread. Unfinished jobs fail."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def submit(self, job: Job) -> None:
        """Add a job. It fails if the engine has stopped."""
        with self._changed:
            if not self._stopped:
                self._arrived.append(job)
                self._changed.notify_all()
                return
        job.failed(RuntimeError("the engine is not running"))

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    @property
    def busy(self) -> int:
        """The number of sequences with a slot."""
        with self._changed:
            return self._count_busy()

    @property
    def waiting(self) -> int:
        """The number of sequences without a slot: in the queue, paused, or with a prompt still to be read."""
        with self._changed:
            return self._count_waiting()

    def wait_until_idle(self, timeout: float | None = None) -> bool:
        """Wait until no sequence is busy or waiting. Return False if that takes longer than ``timeout`` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._count_busy() or self._count_waiting()), timeout)

    def prepare(self) -> None:
        """Read a line, so that the first requests do not wait for compilation; find the widths, and make the slots."""
        warm_up(self.text_model)
        model, start_id = self.text_model.model, self.text_model.start_id
        widths = self._widths or exact_widths(model, begin(model, start_id), self._batch_size)
        self._start_state = begin(model, start_id, widths.steps[0]).select([0])
        count = -(-self._batch_size // widths.steps[-1])
        self._batches = [SequenceBatch(model, self._start_state, widths) for _ in range(count)]

    def step(self) -> None:
        """Read parts of prompts, fill the slots, and take one step of every sequence that has one."""
        self._take_arrivals()
        self._read_prompts()
        self._fill_slots()
        for batch in self._batches:
            self.steps += batch.step()

    def _run(self) -> None:
        try:
            with limited_threads(0):
                self.prepare()
            while self._wait_for_work():
                with limited_threads(0):
                    self.step()
        finally:
            self._fail_all()

    def _wait_for_work(self) -> bool:
        """Return True when there is something to do, False when the engine is to stop."""
        with self._changed:
            while not (
                self._stopping or self._arrived or self._reading or self._waiting or self._count_busy()
            ):
                self._changed.notify_all()  # to those who wait until idle
                self._changed.wait(PAUSE_SECONDS if self._paused else None)
                self._resume_paused()
            return not self._stopping

    def _take_arrivals(self) -> None:
        with self._changed:
            while self._arrived:
                job = self._arrived.popleft()
                job.state = self.text_model.null_context() if job.from_nothing else self._start_state
                self._reading.append(job)

    def _read_prompts(self) -> None:
        """Read parts of prompts, one prompt after another; a job whose prompt is read queues its sequences."""
        budget = READ_AHEAD
        while self._reading:
            job, part = self._reading[0], self._reading[0].unread[:PROMPT_PART]
            if len(part) > budget or budget == 0:
                break
            if not job.cancelled:
                budget -= max(1, len(part))
                self._read_part(job, part)
            with self._changed:
                self._reading.popleft()
                if job.unread and not job.cancelled:
                    self._reading.append(job)
                elif not job.cancelled:
                    self._waiting.extend(RunningSequence(task, job, job.state) for task in job.tasks)

    def _read_part(self, job: Job, part: list[int]) -> None:
        try:
            if part:
                job.state = self.text_model.model.feed(np.asarray(part, np.intp)[None], job.state)
        except Exception as error:  # any: the other requests must be served
            job.failed(error)
            return
        job.unread = job.unread[PROMPT_PART:]
        self.tokens_read += len(part)

    def _fill_slots(self) -> None:
        """Move paused sequences out, and waiting ones into slots that are free or whose turn is over."""
        with self._changed:
            self._resume_paused()
            for batch in self._batches:
                for slot, sequence in enumerate(batch.slots):
                    if sequence is not None and sequence.job.paused:
                        self._paused.append(batch.remove(slot))
            self._waiting = deque(each for each in self._waiting if not each.job.cancelled)
            self._end_turns(len(self._waiting) - sum(batch.room for batch in self._batches))
            for batch in self._batches:
                count = min(len(self._waiting), batch.room)
                if count:
                    batch.add([self._waiting.popleft() for _ in range(count)])

    def _resume_paused(self) -> None:
        """Queue the sequences whose clients have read or left."""
        paused, self._paused = self._paused, []
        for sequence in paused:
            (self._paused if sequence.job.paused else self._waiting).append(sequence)

    def _end_turns(self, wanted: int) -> None:
        """Move up to ``wanted`` sequences that have had their turn to the end of the queue."""
        for batch in self._batches:
            for slot, sequence in enumerate(batch.slots):
                if wanted <= 0:
                    return
                if sequence is not None and sequence.steps >= TURN_STEPS:
                    self._waiting.append(batch.remove(slot))
                    wanted -= 1

    def _count_busy(self) -> int:
        return sum(batch.busy for batch in self._batches)

    def _count_waiting(self) -> int:
        jobs = (*self._arrived, *self._reading)
        return len(self._waiting) + len(self._paused) + sum(len(job.tasks) for job in jobs)

    def _fail_all(self) -> None:
        """Report to all unfinished jobs that nothing will come."""
        with self._changed:
            self._stopped = True
            running = [each for batch in self._batches for each in batch.slots if each is not None]
            sequences = [*self._waiting, *self._paused, *running]
            jobs = [*self._arrived, *self._reading, *(each.job for each in sequences)]
            for queue in (self._arrived, self._reading, self._waiting, self._paused, self._batches):
                queue.clear()
            self._changed.notify_all()
        for job in jobs:
            job.failed(RuntimeError("the server is stopping"))
