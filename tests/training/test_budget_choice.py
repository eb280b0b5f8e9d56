"""The choice for a time budget, on simulated machines, and once on this one."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from elman.errors import ConfigError, TextError
from elman.models.recurrent import RecurrentLM
from elman.training.budget import Task, multiplications
from elman.training.budget_choice import (
    MEASURING_FRACTION,
    Choice,
    choose,
    options_to_keep,
    seconds_per_token,
)
from elman.training.config import Config
from elman.training.optimizers import Adam
from elman.training.run import TrainingRun
from elman.training.run_folder import read_stored
from elman.training.trainer import RnnlmTrainer
from support.runs import small_config
from support.tiny import STORY


class Machine:
    """A machine whose time is proportional to the multiplications; its clock moves only while it measures."""

    def __init__(self, seconds_per_multiplication: float = 1e-10) -> None:
        self.speed, self.now = seconds_per_multiplication, 0.0
        self.measured: list[Config] = []

    def measure(self, config: Config, seconds: float) -> float:
        self.measured.append(config)
        self.now += seconds
        return 3 * multiplications(config, 65) * self.speed

    def choose(self, seconds: float, **held: object) -> Choice:
        config = Config.of({"level": "char", "time_budget": seconds, **held}, "this test")
        task = Task(config, frozenset(held), 1_000_000, 65, 100_000)
        return choose(task, self.measure, lambda: self.now)


def test_the_model_that_is_chosen_has_been_measured_where_there_is_time() -> None:
    machine = Machine()
    choice = machine.choose(600)
    assert machine.measured[0].hidden == 64
    sizes = [(layers, width) for layers, width, _ in choice.speeds]
    assert (choice.config.layers, choice.config.hidden) in sizes
    assert len(sizes) == len(set(sizes)) == len(machine.measured)
    assert choice.seconds == machine.now <= MEASURING_FRACTION * 600


def test_a_short_budget_is_not_measured_away() -> None:
    machine = Machine(1e-6)  # a block of the small model takes a second
    assert len(machine.choose(10).speeds) == 1


def test_a_faster_machine_gets_a_larger_model() -> None:
    assert Machine(1e-11).choose(60).config.hidden > Machine(1e-9).choose(60).config.hidden


def test_the_choice_says_what_it_is_and_how_to_repeat_it() -> None:
    choice = Machine().choose(600, lr=0.5, seed=7)
    measured, chosen, options = choice.lines()
    assert measured.startswith("measured in ")
    assert "2×64: " in measured
    size = f"{choice.config.layers}×{choice.config.hidden}"
    assert f"fpool {size} in residual blocks (about " in chosen
    words = options.split()
    assert words[0] == "options:"
    assert f"`hidden={choice.config.hidden}`" in words
    assert not {"lr", "seed"} & {word.strip("`").split("=")[0] for word in words}
    assert Config.of({"level": "char", "time_budget": 600.0, "lr": 0.5, "seed": 7, **choice.chosen}, "") == (
        choice.config
    )


def test_an_early_end_is_announced() -> None:
    choice = Machine(1e-14).choose(600)
    assert choice.early
    assert "less than the time budget" in choice.lines()[1]
    assert not Machine().choose(600).early


@pytest.mark.parametrize(
    ("given", "choose", "chosen"),
    [
        ({"time_budget": 60.0}, None, True),
        ({"time_budget": 60.0, "lr": 0.1}, None, True),
        ({"time_budget": 60.0, "hidden": 5}, None, False),
        ({"time_budget": 60.0, "cell": "lstm"}, None, False),
        ({"time_budget": 60.0, "hidden": 5}, True, True),
        ({"time_budget": 60.0}, False, False),
        ({"time_budget": 60.0, "model": "ngram"}, None, False),
        ({}, None, False),
    ],
    ids=str,
)
def test_when_options_are_chosen(given: dict[str, object], choose: bool | None, chosen: bool) -> None:
    held = options_to_keep(Config.of(given, "this test"), given, choose)
    assert held == (frozenset(given) if chosen else None)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(), "add `time_budget=600`"),
        (
            Config(time_budget=60, model="ngram"),
            "only options of a recurrent model can be chosen, not of 'ngram'",
        ),
    ],
)
def test_there_must_be_a_time_and_a_recurrent_model(config: Config, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        options_to_keep(config, (), True)
    with pytest.raises(ConfigError, match=message):
        choose(Task(config, frozenset(), 1000, 65), lambda config, seconds: 1.0)


def test_measuring_trains_on_two_blocks_at_least() -> None:
    rng = np.random.default_rng(0)
    trainer = RnnlmTrainer(RecurrentLM(9, 4, 5, rng=rng), Adam())
    ids = rng.integers(9, size=60)
    clock = itertools.count(0.0, 0.5)  # a block takes half a second

    def now() -> float:
        return next(clock)

    tokens = 2 * 4  # of a block
    assert seconds_per_token(trainer, small_config(), ids, 0.0, now) == 0.5 / tokens
    assert trainer.progress.iteration == 2
    assert seconds_per_token(trainer, small_config(), ids, 3.0, now) == 0.5 / tokens
    assert trainer.progress.iteration == 2 + 7


def test_a_run_chooses_keeps_what_it_chose_and_counts_the_time(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(STORY, encoding="utf-8")
    config = Config(time_budget=0.5, dropout=0.3, checkpoint_every=1e9)
    run = TrainingRun.create(tmp_path / "run", str(corpus), config, held=("time_budget", "dropout"))
    assert run.choice is not None
    assert run.choice.config == run.config
    assert run.config.dropout == 0.3
    assert run.config.cell == "lstm"
    assert 0 < run.choice.seconds == run.trainer.progress.seconds
    assert read_stored(tmp_path / "run" / "config.toml")["options"] == run.config.to_dict()
    resumed = TrainingRun.resume(tmp_path / "run")
    assert resumed.config == run.config
    assert resumed.choice is None
    assert resumed.trainer.progress.seconds == run.choice.seconds


def test_a_text_of_one_word_is_refused_by_its_name(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("a", encoding="utf-8")
    with pytest.raises(TextError, match=r"corpus\.txt: the text is too short: 1 tokens"):
        TrainingRun.create(tmp_path / "run", str(corpus), Config(level="char", time_budget=1.0), held=())
    assert not (tmp_path / "run" / "config.toml").exists()
