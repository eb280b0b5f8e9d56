"""The two reference runs, textbook and min-char-rnn, on their own data."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.models.recurrent import SimpleRnnlm
from elman.text.corpus import encode_corpus
from elman.text.tokenizers import make_tokenizer
from elman.training.optimizers import SGD
from elman.training.progress import IntervalDone
from elman.training.recipes import configure
from elman.training.run import TrainingRun
from elman.training.trainer import RnnlmTrainer

pytestmark = pytest.mark.slow

Data = Callable[[str], Path]
EPOCHS = (1, 10, 30, 50, 75)
TEXTBOOK = {  # seed: perplexity after these epochs, of a straightforward form after np.random.seed(seed)
    0: (401.41, 193.07, 158.47, 77.66, 18.93),
    1: (400.71, 192.05, 152.84, 71.52, 18.53),
    2: (385.68, 191.50, 144.39, 72.19, 18.92),
    3: (399.44, 193.77, 159.24, 84.15, 22.31),
    4: (390.04, 193.83, 152.95, 75.56, 18.94),
}


@pytest.mark.parametrize("seed", TEXTBOOK)
def test_the_textbooks_run(data: Data, seed: int) -> None:
    tokenizer = make_tokenizer("word")
    corpus = encode_corpus([data("ptb/ptb.train.txt")], tokenizer, cache=None, max_tokens=1000)
    ids = corpus.ids
    V = int(ids.max()) + 1
    assert (len(ids), V) == (1000, 418)
    np.random.seed(seed)
    model = SimpleRnnlm(V, 100, 100)
    trainer = RnnlmTrainer(model, SGD(lr=0.1))
    trainer.fit(ids[:-1], ids[1:], max_epoch=100, batch_size=10, time_size=5, eval_interval=None)
    found = trainer.ppl_list
    assert trainer.progress.iteration == 100 * 19
    assert [found[epoch - 1] for epoch in EPOCHS] == pytest.approx(TEXTBOOK[seed], rel=0.005)
    assert 4.7 < found[99] < 6.6  # by then rounding alone moves it


def character_run(tmp_path: Path, corpus: Path, iterations: int, report_every: int) -> tuple[Any, list[Any]]:
    """Begin the min-char-rnn recipe on a text; return the run, and its points when it is over."""
    options = {"iterations": iterations, "report_every": report_every, "sample_every": 0}
    run = TrainingRun.create(tmp_path / "run", str(corpus), configure("min-char-rnn", options))
    points: list[Any] = []
    begun = run.trainer.progress.smooth_loss
    run.train(lambda event: points.append(event) if isinstance(event, IntervalDone) else None)
    return begun, points


def test_min_char_rnn(data: Data, tmp_path: Path) -> None:
    begun, points = character_run(tmp_path, data("kafka/kafka.txt"), 2000, 1000)
    assert begun == pytest.approx(109.5507, abs=1e-4)
    assert begun == 25 * math.log(80)
    assert [point.iteration for point in points] == [1000, 2000]
    assert 82 < points[0].smooth_loss < 88
    assert 65 < points[1].smooth_loss < 71
