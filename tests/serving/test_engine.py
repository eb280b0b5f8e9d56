"""The engine: the same numbers alone and among others, turns for all, and sequences that are free again."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from elman.serving.engine import READ_AHEAD, SLICE, Engine, exact_width
from elman.serving.routes_scoring import Scoring
from elman.serving.sequences import FULL, Channel, Job
from elman.text_model import TextModel
from support.tiny import text_model


class Drawing:
    """Draws tokens for ever, or so many; keeps the probabilities bit by bit."""

    needs_distribution = True

    def __init__(self, seed: int, most: int = 1 << 30) -> None:
        self.rng, self.most = np.random.default_rng(seed), most
        self.ids: list[int] = []
        self.seen: list[bytes] = []

    def next(self, log_probs: Any) -> int | None:
        if len(self.ids) == self.most:
            return None
        self.seen.append(log_probs.tobytes())
        self.ids.append(int(self.rng.choice(len(log_probs), p=np.exp(log_probs) / np.exp(log_probs).sum())))
        return self.ids[-1]


def large(cell: str = "gru") -> TextModel:
    """A float32 model of a size with which BLAS libraries have loops of their own."""
    return text_model("word", dtype=np.float32, D=48, H=100, cell=cell)


def with_engine(
    model: TextModel, work: Callable[[Engine], Coroutine[Any, Any, None]], **options: Any
) -> None:
    async def run() -> None:
        engine = Engine(model, **options)
        engine.start()
        try:
            async with asyncio.timeout(60):
                await work(engine)
        finally:
            engine.stop()

    asyncio.run(run())


async def finish(engine: Engine, *jobs: tuple[list[int], Any]) -> None:
    """Have an engine do (prompt, work) jobs, all at once."""
    channel = Channel()
    for prompt, work in jobs:
        engine.submit(Job(prompt, [work], channel))
    for _ in jobs:
        done = await channel.get()
        assert not isinstance(done, Exception), done


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_text_has_the_same_bits_alone_and_among_others(cell: str) -> None:
    def works() -> list[tuple[list[int], Drawing]]:
        return [([k % 20] * (7 * k), Drawing(k, most=10 + 3 * k)) for k in range(12)]

    alone, together = works(), works()

    async def work(engine: Engine) -> None:
        for each in alone:
            await finish(engine, each)
        await finish(engine, *together)

    with_engine(large(cell), work, batch_size=16)
    for (_, one), (_, other) in zip(alone, together, strict=True):
        assert one.ids == other.ids
        assert one.seen == other.seen


def test_a_sequence_that_makes_room_goes_on_where_it_was() -> None:
    def works() -> list[tuple[list[int], Drawing]]:
        return [([1, 2], Drawing(k, most=3 * SLICE)) for k in range(5)]

    alone, crowded = works(), works()

    async def work(engine: Engine) -> None:
        for each in alone:
            await finish(engine, each)
        await finish(engine, *crowded)

    with_engine(large(), work, batch_size=2, width=2)
    assert [each.seen for _, each in alone] == [each.seen for _, each in crowded]


def test_texts_without_end_do_not_keep_a_short_one_waiting() -> None:
    async def work(engine: Engine) -> None:
        endless = Job([], [Drawing(k) for k in range(6)], Channel())
        engine.submit(endless)
        while not all(work.ids for work in endless.works[:2]):  # type: ignore[attr-defined]
            await asyncio.sleep(0.001)
        score = Scoring([1, 2, 3])
        await finish(engine, ([], score))
        assert len(score.tokens) == 3
        assert all(work.ids for work in endless.works)  # type: ignore[attr-defined]
        assert engine.busy == 2
        endless.cancelled = True
        while engine.busy or engine.waiting:
            await asyncio.sleep(0.001)

    with_engine(text_model(), work, batch_size=2, width=2)


def test_a_short_score_waits_for_so_many_steps_at_most() -> None:
    opened = threading.Event()

    class Gate(Drawing):
        def next(self, log_probs: Any) -> int | None:
            opened.wait(30)  # what is submitted until then arrives at once
            return super().next(log_probs)

    class Short(Scoring):
        def next(self, log_probs: Any) -> int | None:
            self.steps, self.read = engine.steps, engine.tokens_read
            return super().next(log_probs)

    engine = Engine(text_model(), batch_size=2, width=2)
    tokens, before = [1, 2, 3], 9

    async def work() -> None:
        engine.start()
        endless = Job([], [Gate(k) for k in range(before)], Channel())
        long = Job([1] * 50 * READ_AHEAD, [Drawing(0)], Channel())
        score = Short(tokens)
        engine.submit(endless)
        while not engine.busy:
            await asyncio.sleep(0.001)
        engine.submit(long)
        asyncio.get_running_loop().call_later(0.01, opened.set)
        await finish(engine, ([], score))
        rounds = (before // 2 + 1) * SLICE + len(
            tokens
        )  # of two sequences each; the score's turn is the last
        assert score.steps <= 2 * rounds
        assert score.read <= READ_AHEAD * rounds
        assert long.unread or all(each.ids for each in endless.works)  # type: ignore[attr-defined]
        endless.cancelled = long.cancelled = True

    try:
        asyncio.run(asyncio.wait_for(work(), 60))
    finally:
        engine.stop()


def test_a_client_that_does_not_read_is_waited_for() -> None:
    class Telling(Drawing):
        def next(self, log_probs: Any) -> int | None:
            channel.put(None)
            return super().next(log_probs)

    channel: Any = None

    async def work(engine: Engine) -> None:
        nonlocal channel
        channel = Channel()
        slow = Telling(1, most=3 * FULL)
        engine.submit(Job([], [slow], channel))
        while not channel.full:
            await asyncio.sleep(0.001)
        await finish(engine, ([], Drawing(2, most=50)))
        assert len(slow.ids) <= FULL + 1
        while engine.busy:
            await asyncio.sleep(0.001)
        assert engine.waiting == 1
        items = [await channel.get() for _ in range(3 * FULL + 2)]
        assert items[-1] is slow
        alone = Drawing(1, most=3 * FULL)
        await finish(engine, ([], alone))
        assert alone.seen == slow.seen

    with_engine(text_model(), work)


def test_an_error_ends_its_own_text_only() -> None:
    class Broken(Drawing):
        def next(self, log_probs: Any) -> int | None:
            raise ArithmeticError("broken")

    async def work(engine: Engine) -> None:
        channel, other = Channel(), Drawing(1, most=200)
        engine.submit(Job([], [Broken(0)], channel))
        engine.submit(Job([10**6], [Drawing(0)], channel))  # an id that the model does not have
        await finish(engine, ([], other))
        errors = [await channel.get(), await channel.get()]
        assert {type(error).__name__ for error in errors} == {"ArithmeticError", "VocabularyError"}
        assert len(other.ids) == 200
        while engine.busy:
            await asyncio.sleep(0.001)

    with_engine(text_model(), work)


def test_an_engine_that_stops_tells_those_who_wait() -> None:
    async def run() -> None:
        engine, channel = Engine(text_model()), Channel()
        engine.start()
        engine.submit(Job([], [Drawing(0)], channel))
        while not engine.busy:
            await asyncio.sleep(0.001)
        engine.stop()
        assert isinstance(await channel.get(), RuntimeError)
        engine.submit(Job([], [Drawing(0)], channel))
        assert isinstance(await channel.get(), RuntimeError)

    asyncio.run(run())


def test_a_model_whose_sequences_depend_on_their_place_has_one_sequence_a_step() -> None:
    class Uneven:
        vocab_size = 3

        def feed(self, ids: Any, state: Any) -> Any:
            return state

        def next_log_probs(self, state: Any) -> Any:
            return np.log(
                np.array([[0.5, 0.25, 0.25]] * state.batch_size) + 1e-9 * np.arange(state.batch_size)[:, None]
            )

    start = text_model().model.start()
    assert exact_width(Uneven(), start) == 1  # type: ignore[arg-type]
    assert exact_width(text_model().model, start) > 1
