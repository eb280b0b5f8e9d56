"""Any number of threads may read with one model: each gets the numbers that one thread alone would get."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from elman import kenlm_compat
from elman.errors import ConfigError
from elman.evaluation.perplexity import evaluate
from elman.generation import Sampler, generate
from elman.inspection.influence import influence
from elman.inspection.through_time import through_time
from elman.inspection.trace import trace
from elman.models.adaptive.cache import CachedModel, NeuralCache
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.mixture import Mixture
from elman.models.recurrent import RecurrentLM
from elman.models.window_models import CBOW, NPLM
from elman.rescoring.nbest import Candidate, Utterance
from elman.rescoring.rescorer import Rescorer
from elman.text_model import TextModel
from elman.training.optimizers import SGD
from elman.training.trainer import RnnlmTrainer
from elman.workers import Pool, limited_threads, worker_count
from support.ngrams import sentence_model
from support.tiny import STORY, small_lm

THREADS, ROUNDS = 8, 200
NGRAMS: TextModel = sentence_model(STORY)
V = len(NGRAMS.vocabulary)
LINES = STORY.splitlines()
Call = Callable[[TextModel, str], Any]


def lm(**options: Any) -> RecurrentLM:
    return small_lm(V, **{"dtype": np.float32, **options})


MODELS: dict[str, Callable[[], Any]] = {
    "rnn": lm,
    "lstm 2 layers": lambda: lm(cell="lstm", layers=2),
    "gru tied": lambda: lm(cell="gru", D=5, tie_weights=True),
    "lstm adaptive": lambda: lm(cell="lstm", adaptive=(5, 12)),
    "cbow": lambda: CBOW(V, 4, 3, rng=np.random.default_rng(2)),
    "nplm": lambda: NPLM(V, 5, 5, window=3, rng=np.random.default_rng(3)),
    "n-gram": lambda: NGRAMS.model,
    "mixture": lambda: Mixture([lm(cell="gru"), lm(), NGRAMS.model], (0.3, 0.3, 0.4)),
    "cache": lambda: CachedModel(lm(cell="lstm"), 5, 0.2),
    "neural cache": lambda: NeuralCache(lm(cell="lstm"), 5, 0.7, 0.3),
    "dynamic": lambda: DynamicModel(lm(cell="lstm"), lr=0.5, decay=0.01, block=4),
    "dynamic window": lambda: DynamicModel(
        NPLM(V, 5, 5, window=2, rng=np.random.default_rng(3)), lr=0.5, block=3
    ),
}


def generated(model: TextModel, line: str) -> list[int]:
    state = model.begin_sentence()
    return list(generate(model.model, state, Sampler(), np.random.default_rng(len(line)), 6))


def rescored(model: TextModel, line: str) -> list[float]:
    candidates = tuple(Candidate(k, 0.0, text) for k, text in enumerate((line, LINES[0]), 1))
    return list(Rescorer(model, [Utterance("u", candidates)]).table().lm[0].tolist())


CALLS: dict[str, Call] = {
    "score": lambda model, line: model.score(line),
    "scores": lambda model, line: model.scores([line, LINES[0], line[:20]]).tolist(),
    "full_scores": lambda model, line: list(model.full_scores(line)),
    "surprisal": lambda model, line: list(model.surprisal(line, per="token")),
    "written": lambda model, line: model.generate(line, 4, seed=1),
    "next_distribution": lambda model, line: model.next_distribution(line, top=None),
    "base_score": lambda model, line: model.base_score(model.begin_sentence(), line)[0],
    "generate": generated,
    "influence": lambda model, line: influence(model, line, 2, 1).bits.tolist(),
    "evaluate": lambda model, line: evaluate(model.model, model.encode_line(line)[1], eos=model.start_id),
    "batches": lambda model, line: evaluate(model.model, model.encode_line(line)[1], batch_size=3),
    "rescore": rescored,
    "kenlm": lambda model, line: kenlm_compat.Model(model).score(line),
}
INSIDE: dict[str, Call] = {
    "trace": lambda model, line: trace(model, line).values().tolist(),
    "through_time": lambda model, line: through_time(model, line, 3).norms.tolist(),
}


@pytest.fixture
def hurried() -> Iterator[None]:
    """Let threads take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hurried")
@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_many_threads_get_what_one_gets(name: str) -> None:
    model = TextModel(MODELS[name](), NGRAMS.tokenizer, NGRAMS.vocabulary)
    calls = CALLS | (INSIDE if isinstance(model.model, RecurrentLM) else {})
    tasks = [(call, line) for call in calls for line in LINES]
    alone = {(call, line): calls[call](model, line) for call, line in tasks}

    def wrong(seed: int) -> list[str]:
        """Make some calls in a random order; return those with another result than alone."""
        chosen = np.random.default_rng(seed).permutation(len(tasks))[:2]
        return [tasks[k][0] for k in chosen if calls[tasks[k][0]](model, tasks[k][1]) != alone[tasks[k]]]

    with ThreadPoolExecutor(THREADS) as pool:
        assert [call for calls in pool.map(wrong, range(ROUNDS)) for call in calls] == []


@pytest.mark.usefixtures("hurried")
def test_a_shared_compatible_model_serves_many_threads() -> None:
    model = kenlm_compat.Model(TextModel(lm(cell="lstm"), NGRAMS.tokenizer, NGRAMS.vocabulary))

    def total(line: str) -> float:
        state, after = kenlm_compat.State(), kenlm_compat.State()
        model.BeginSentenceWrite(state)
        log10_prob = 0.0
        for word in line.split():
            log10_prob += model.BaseScore(state, word, after)
            state, after = after, state
        return log10_prob

    alone = [total(line) for line in LINES]
    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(total, LINES * 50)) == alone * 50


def test_blocks_of_several_threads_may_end_in_any_order() -> None:
    with ThreadPoolExecutor(1) as pool:
        mine, other = limited_threads(0), limited_threads(0)
        mine.__enter__()
        pool.submit(other.__enter__).result()
        mine.__exit__(None, None, None)
        pool.submit(other.__exit__, None, None, None).result()
    assert worker_count() == 1


def test_a_pool_makes_no_more_than_are_in_use_at_once() -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    pool = Pool(make)
    for _ in range(3):
        with pool.borrow() as first, pool.borrow() as second:
            assert first is not second
    assert len(made) == 2


def test_a_model_is_trained_by_one_fit_at_a_time() -> None:
    model = lm()
    ids = np.arange(200) % V
    trainer, other = RnnlmTrainer(model, SGD(0.1)), RnnlmTrainer(model, SGD(0.1))
    refused: list[str] = []

    def fit_within(event: object) -> None:
        for each in (trainer, other):
            with pytest.raises(ConfigError, match="is being trained") as error:
                each.fit(ids[:-1], ids[1:], 1, 2, 5)
            refused.append(str(error.value))

    trainer.fit(ids[:-1], ids[1:], 1, 2, 5, eval_interval=1, max_iterations=1, on_event=fit_within)
    assert len(refused) >= 2
    other.fit(ids[:-1], ids[1:], 1, 2, 5)  # after it has ended
