"""The engine: the same numbers alone and among others, turns for all, and slots that are free again.

Most tests step an engine by hand, without its thread, so they do not depend on the time that anything takes.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from elman.models.ngram.model import NgramModel
from elman.serving.engine import LARGER_WIDTHS, READ_AHEAD, TURN_STEPS, Engine, exact_width, exact_widths
from elman.serving.routes_scoring import ScoreTask
from elman.serving.sequences import CHANNEL_ITEMS, Channel, Deliveries, Job
from elman.text_model import TextModel
from elman.workers import limited_threads
from support.ngrams import sentence_model
from support.tiny import text_model
from support.waiting import LONG

MAX_STEPS = 20_000  # more than any test needs


class DrawTask:
    """Draws tokens without end, or up to ``count``; keeps the probabilities bit by bit."""

    needs_distribution = True
    sampler = None

    def __init__(self, seed: int, count: int = 1 << 30) -> None:
        self.rng, self.count = np.random.default_rng(seed), count
        self.ids: list[int] = []
        self.seen: list[bytes] = []

    def next(self, log_probs: Any) -> int | None:
        if len(self.ids) == self.count:
            return None
        self.seen.append(log_probs.tobytes())
        self.ids.append(int(self.rng.choice(len(log_probs), p=np.exp(log_probs) / np.exp(log_probs).sum())))
        return self.ids[-1]


def large(cell: str = "gru") -> TextModel:
    """A float32 model of a size for which BLAS libraries have loops of their own."""
    return text_model("word", dtype=np.float32, D=48, H=100, cell=cell)


def by_hand(model: TextModel, test: Callable[[Engine], Coroutine[Any, Any, None]], **options: Any) -> None:
    """Run a test with an engine without a thread."""
    engine = Engine(model, **options)

    async def run() -> None:
        async with asyncio.timeout(LONG):
            await test(engine)

    with limited_threads(0):  # as in the engine's thread
        engine.prepare()
        asyncio.run(run())


def step_until(engine: Engine, condition: Callable[[], Any]) -> int:
    """Step an engine until a condition holds; return how many steps it took."""
    for count in range(MAX_STEPS):
        if condition():
            return count
        engine.step()
    raise AssertionError(f"not within {MAX_STEPS} steps")


async def finish(engine: Engine, *jobs: tuple[list[int], Any]) -> None:
    """Submit (prompt, task) jobs, all at once, and step the engine until they are done."""
    channel = Channel()
    for prompt, task in jobs:
        engine.submit(Job(prompt, [task], channel))
    left = len(jobs)
    for _ in range(MAX_STEPS):
        engine.step()
        await asyncio.sleep(0)  # deliver what was sent
        while channel.unread:
            item = await channel.get()
            assert not isinstance(item, Exception), item
            left -= 1
        if not left:
            return
    raise AssertionError(f"not within {MAX_STEPS} steps")


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_a_text_has_the_same_bits_alone_and_among_others(cell: str) -> None:
    def jobs() -> list[tuple[list[int], DrawTask]]:
        return [([k % 20] * (7 * k), DrawTask(k, count=10 + 3 * k)) for k in range(12)]

    alone, together = jobs(), jobs()

    async def test(engine: Engine) -> None:
        for each in alone:
            await finish(engine, each)
        await finish(engine, *together)

    by_hand(large(cell), test, batch_size=16)
    for (_, one), (_, other) in zip(alone, together, strict=True):
        assert one.ids == other.ids
        assert one.seen == other.seen


def test_many_texts_are_one_step_with_the_bits_of_a_few() -> None:
    def tasks() -> list[DrawTask]:
        return [DrawTask(k, count=4 + k % 3) for k in range(50)]

    few, many = tasks(), tasks()
    model = large("lstm")
    widths: set[int] = set()
    feed = type(model.model).feed

    def counting(self: Any, ids: Any, state: Any) -> Any:
        widths.add(len(ids))
        return feed(self, ids, state)

    async def test(engine: Engine) -> None:
        for each in few:
            await finish(engine, ([1], each))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(model.model), "feed", counting)
            await finish(engine, *(([1], each) for each in many))

    by_hand(model, test)
    assert [each.seen for each in few] == [each.seen for each in many]
    found = exact_widths(model.model, model.model.start(), 64)
    assert widths <= {1, *found.steps}
    assert len(found.steps) == 1 or max(widths) > found.steps[0]


def test_an_engine_is_warm_before_its_first_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The n-grams are in their hash table, and functions compiled, when the engine has been prepared."""
    given = sentence_model()
    hashed: list[NgramModel] = []
    monkeypatch.setattr(NgramModel, "use_hash_table", lambda model: hashed.append(model))
    Engine(given).prepare()
    assert hashed[0] is given.model


def test_two_engines_in_two_threads_read_with_one_model() -> None:
    model = large("lstm")

    def run(seed: int) -> list[tuple[list[int], list[bytes]]]:
        tasks = [DrawTask(seed + k, count=20) for k in range(4)]
        by_hand(model, lambda engine: finish(engine, *(([1, 2, 3], task) for task in tasks)), width=4)
        return [(task.ids, task.seen) for task in tasks]

    alone = [run(seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, range(4))) == alone


def test_a_sequence_that_made_room_continues_where_it_was() -> None:
    def jobs() -> list[tuple[list[int], DrawTask]]:
        return [([1, 2], DrawTask(k, count=3 * TURN_STEPS)) for k in range(5)]

    alone, crowded = jobs(), jobs()

    async def test(engine: Engine) -> None:
        for each in alone:
            await finish(engine, each)
        await finish(engine, *crowded)

    by_hand(large(), test, batch_size=2, width=2)
    assert [each.seen for _, each in alone] == [each.seen for _, each in crowded]


def test_texts_without_end_do_not_keep_a_short_one_waiting() -> None:
    async def test(engine: Engine) -> None:
        tasks = [DrawTask(k) for k in range(6)]
        endless = Job([], tasks, Channel())
        engine.submit(endless)
        assert engine.waiting == 6
        engine.step()
        assert [len(task.ids) for task in tasks] == [1, 1, 0, 0, 0, 0]
        assert (engine.busy, engine.waiting) == (2, 4)
        score = ScoreTask([1, 2, 3])
        engine.submit(Job([], [score], Channel()))
        steps = step_until(engine, lambda: not score.needs_distribution)
        assert steps <= 3 * TURN_STEPS + len(score.tokens)
        assert all(task.ids for task in tasks)
        engine.step()  # the slot of the score is filled again
        assert (engine.busy, engine.waiting) == (2, 4)
        endless.cancelled = True
        engine.step()
        assert (engine.busy, engine.waiting) == (0, 0)

    by_hand(text_model(), test, batch_size=2, width=2)


def test_a_short_score_waits_for_a_bounded_number_of_steps() -> None:
    async def test(engine: Engine) -> None:
        tokens, before = [1, 2, 3], 9
        tasks = [DrawTask(k) for k in range(before)]
        long = Job([1] * 50 * READ_AHEAD, [DrawTask(0)], Channel())
        score = ScoreTask(tokens)
        for job in (Job([], tasks, Channel()), long, Job([], [score], Channel())):
            engine.submit(job)
        step_until(engine, lambda: not score.needs_distribution)
        # turns of two sequences each; the turn of the score is the last
        rounds = (before // 2 + 1) * TURN_STEPS + len(tokens)
        assert engine.steps <= 2 * rounds
        assert engine.tokens_read <= READ_AHEAD * rounds
        assert long.unread or all(task.ids for task in tasks)

    by_hand(text_model(), test, batch_size=2, width=2)


def test_a_sequence_pauses_until_its_client_reads() -> None:
    class SendTask(DrawTask):
        def next(self, log_probs: Any) -> int | None:
            channel.put(None)
            return super().next(log_probs)

    channel: Any = None

    async def test(engine: Engine) -> None:
        nonlocal channel
        channel = Channel()
        paused = SendTask(1, count=3 * CHANNEL_ITEMS)
        engine.submit(Job([], [paused], channel))
        step_until(engine, lambda: channel.full)
        await finish(engine, ([], DrawTask(2, count=50)))
        assert len(paused.ids) == CHANNEL_ITEMS + 1
        assert (engine.busy, engine.waiting) == (0, 1)
        items = []
        for _ in range(3 * CHANNEL_ITEMS + 2):
            if not channel.unread:
                engine.step()
            items.append(await channel.get())
        assert items[-1] is paused
        alone = DrawTask(1, count=3 * CHANNEL_ITEMS)
        await finish(engine, ([], alone))
        assert alone.seen == paused.seen

    by_hand(text_model(), test)


def test_items_of_many_channels_wake_the_loop_once_and_count_until_they_are_done_with() -> None:
    async def test() -> None:
        loop, wakings = asyncio.get_running_loop(), []
        call = loop.call_soon_threadsafe
        deliveries = Deliveries()
        one, other = Channel(deliveries), Channel(deliveries)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "call_soon_threadsafe", lambda *args: (wakings.append(1), call(*args)))
            for k in range(3):
                one.put(k)
                other.put(-k)
        assert len(wakings) == 1
        assert await one.get_all() == [0, 1, 2]
        assert (one.unread, await other.get(), other.unread) == (3, 0, 2)
        one.put(3)
        assert await one.get_all() == [3]
        assert one.unread == 1

    asyncio.run(asyncio.wait_for(test(), LONG))


def test_an_error_ends_only_its_own_text() -> None:
    class BrokenTask(DrawTask):
        def next(self, log_probs: Any) -> int | None:
            raise ArithmeticError("broken")

    async def test(engine: Engine) -> None:
        channel, other = Channel(), DrawTask(1, count=200)
        engine.submit(Job([], [BrokenTask(0)], channel))
        engine.submit(Job([10**6], [DrawTask(0)], channel))  # an id that the model does not have
        await finish(engine, ([], other))
        errors = [await channel.get(), await channel.get()]
        assert {type(error).__name__ for error in errors} == {"ArithmeticError", "VocabularyError"}
        assert len(other.ids) == 200
        assert (engine.busy, engine.waiting) == (0, 0)

    by_hand(text_model(), test)


def test_a_failing_step_leaves_finished_tasks_alone() -> None:
    model = text_model()

    async def test(engine: Engine) -> None:
        done, running = Channel(), Channel()
        engine.submit(Job([], [DrawTask(0, count=0)], done))
        engine.submit(Job([], [DrawTask(1)], running))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(model.model), "feed", lambda *_: {}["broken"])
            engine.step()
        assert done.unread == 1
        assert isinstance(await done.get(), DrawTask)
        assert isinstance(await running.get(), KeyError)
        assert (engine.busy, engine.waiting) == (0, 0)

    by_hand(model, test, batch_size=2, width=2)


def test_a_slot_is_free_before_its_client_learns_of_the_end() -> None:
    class Watching(Channel):
        def put(self, item: Any) -> None:
            counts.append(engine.busy)
            super().put(item)

    counts: list[int] = []
    engine: Any = None

    async def test(made: Engine) -> None:
        nonlocal engine
        engine = made
        engine.submit(Job([], [DrawTask(0, count=3)], Watching()))
        step_until(engine, lambda: counts)
        assert counts == [0]

    by_hand(text_model(), test)


def test_the_thread_does_jobs_until_it_stops_and_then_all_jobs_fail() -> None:
    async def run() -> None:
        engine, done, endless = Engine(text_model()), Channel(), Channel()
        early, other = DrawTask(0, count=3), DrawTask(1, count=3)
        engine.submit(Job([], [early], done))  # before the start: it waits
        engine.start()
        assert engine.alive
        engine.submit(Job([1, 2], [other], done))
        assert {await done.get(), await done.get()} == {early, other}
        assert await asyncio.to_thread(engine.wait_until_idle, LONG)
        assert (engine.busy, engine.waiting) == (0, 0)
        engine.submit(Job([], [DrawTask(0)], endless))
        engine.stop()
        assert not engine.alive
        assert isinstance(await endless.get(), RuntimeError)
        assert (engine.busy, engine.waiting) == (0, 0)
        engine.submit(Job([], [DrawTask(0)], endless))
        assert isinstance(await endless.get(), RuntimeError)

    asyncio.run(asyncio.wait_for(run(), LONG))


def test_a_model_whose_rows_depend_on_their_place_has_width_one() -> None:
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
    assert exact_widths(Uneven(), start, 64).output == 1  # type: ignore[arg-type]
    assert max(exact_widths(text_model().model, start, LARGER_WIDTHS[0]).steps) <= LARGER_WIDTHS[0]
