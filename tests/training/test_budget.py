"""The rule that chooses a model for a time budget, with simulated speeds."""

import math
from functools import cache

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.models.parameters import plan_weights
from elman.training.budget import (
    MAX_EPOCHS,
    MAX_WEIGHTS_PER_TOKEN,
    TWO_LAYERS_FROM,
    Speeds,
    Task,
    best,
    candidates,
    learning_rate,
    multiplications,
    recurrent_weights,
    scheduled,
    sized,
)
from elman.training.config import Config
from elman.training.model_options import check_options

WORDS = Task(Config(), frozenset(), 1_000_000, 10_000)
FEW_WORDS = Task(Config(), frozenset(), 90_000, 10_000)
CHARACTERS = Task(Config(level="char"), frozenset(), 1_000_000, 65)


def task(tokens: int = 1_000_000, vocab_size: int = 65, **held: object) -> Task:
    return Task(Config.of(held, "this test"), frozenset(held), tokens, vocab_size)


@cache
def machine(of: Task, seconds_per_multiplication: float = 1e-10) -> Speeds:
    """A machine on which time is in proportion to the multiplications."""
    speeds = Speeds(of.vocab_size)
    for model in candidates(of):
        speeds.add(model, 3 * multiplications(model, of.vocab_size) * seconds_per_multiplication)
    return speeds


def chosen(of: Task, seconds: float) -> Config:
    model, epochs = best(of, candidates(of), machine(of), seconds)
    return scheduled(of, model, epochs)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("level", ["word", "char"])
def test_recurrent_weights_are_those_of_the_model(level: str, layers: int) -> None:
    of = task(level=level, vocab_size=3000)
    config = sized(of, layers, 48)
    plan = plan_weights(3000, config.wordvec, config.hidden, config.cell, layers, block=config.block)
    sizes = [math.prod(w.shape) for name, w in plan.items() if name[0].isdigit() and len(w.shape) == 2]
    assert recurrent_weights(config) == sum(sizes)


@given(st.floats(1, 1e5), st.floats(1, 1e5), st.sampled_from([WORDS, CHARACTERS]))
def test_more_time_never_gives_a_smaller_model(one: float, other: float, of: Task) -> None:
    less, more = (recurrent_weights(chosen(of, seconds)) for seconds in sorted((one, other)))
    assert less <= more


def test_a_machine_of_twice_the_speed_is_worth_twice_the_time() -> None:
    models = candidates(CHARACTERS)
    slow = best(CHARACTERS, models, machine(CHARACTERS, 2e-10), 240)
    fast = best(CHARACTERS, models, machine(CHARACTERS, 1e-10), 120)
    assert slow[0] == fast[0]
    assert slow[1] == pytest.approx(fast[1])


@pytest.mark.parametrize("of", [WORDS, CHARACTERS])
def test_dropout_rises_and_the_rate_falls_with_the_time(of: Task) -> None:
    runs = [chosen(of, seconds) for seconds in (10, 6_000, 200_000)]
    assert runs[0].dropout == 0
    assert runs[0].dropout < runs[1].dropout < runs[2].dropout <= 0.4
    assert runs[0].lr > runs[1].lr > runs[2].lr
    assert {run.schedule for run in runs} == {"cosine"}


def test_most_texts_get_residual_blocks_unless_a_given_option_does_not_fit_them() -> None:
    assert (sized(CHARACTERS, 2, 192).block, sized(CHARACTERS, 2, 192).wordvec) == ("residual", 128)
    assert sized(WORDS, 2, 192).block == "residual"
    assert sized(FEW_WORDS, 2, 192).block == "plain"
    for held in (
        {"cell": "gru"},
        {"block": "plain"},
        {"recurrent_dropout": 0.2},
        {"wordvec": 0},
        {"init": "orthogonal"},
    ):
        assert sized(task(level="char", **held), 2, 192).block == "plain"
    assert sized(task(level="byte", wordvec=40), 2, 192).wordvec == 40


def test_a_second_layer_comes_with_many_epochs() -> None:
    models, speed = candidates(FEW_WORDS), machine(FEW_WORDS)
    found = [best(FEW_WORDS, models, speed, 1.5**k) for k in range(40)]
    assert {model.layers for model, epochs in found if epochs < TWO_LAYERS_FROM} == {1}
    assert {model.layers for model, epochs in found if epochs >= TWO_LAYERS_FROM} == {1, 2}


@pytest.mark.parametrize("tokens", [3, 50, 2000, 30_000])
def test_a_small_text_gets_a_small_model_blocks_that_fit_and_an_early_end(tokens: int) -> None:
    of = task(tokens, level="char")
    model, epochs = best(of, candidates(of), machine(of), 3600)
    assert epochs == MAX_EPOCHS
    assert recurrent_weights(model) <= max(MAX_WEIGHTS_PER_TOKEN * tokens, 4 * 16 * 32)
    assert model.batch_size * model.time_size < tokens


def test_a_large_text_needs_no_whole_epoch() -> None:
    of = task(10**9)
    model, epochs = best(of, candidates(of), machine(of), 600)
    assert epochs < 0.1
    assert model.hidden > 16


def test_no_time_at_all_gets_the_smallest_model() -> None:
    assert chosen(WORDS, 1e-6).hidden == 16


def test_words_are_tied_characters_are_not_and_large_vocabularies_get_clusters() -> None:
    word, char, large = sized(WORDS, 1, 200), sized(CHARACTERS, 1, 200), sized(task(10**6, 50_000), 1, 200)
    assert (word.tie_weights, word.wordvec, word.softmax) == (True, 136, "full")
    assert (char.tie_weights, char.wordvec, char.softmax) == (False, 136, "full")
    assert (large.tie_weights, large.wordvec, large.softmax) == (False, 136, "adaptive")
    assert (
        multiplications(large, 50_000)
        < multiplications(sized(task(10**6, 50_000, softmax="full"), 1, 200), 50_000) / 5
    )


@pytest.mark.parametrize(
    "held",
    [
        {"hidden": 77},
        {"wordvec": 33},
        {"layers": 3},
        {"cell": "gru", "dropout": 0.7},
        {"tie_weights": True},
        {"tie_weights": False, "lr": 0.5},
        {"softmax": "full", "batch_size": 3, "time_size": 7},
        {"optimizer": "sgd", "schedule": "plateau", "epochs": 2},
        {"wrap": "restart", "embedding_scale": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("vocab_size", [65, 10_000, 50_000])
def test_given_options_stay(held: dict[str, object], vocab_size: int) -> None:
    config = chosen(task(1_000_000, vocab_size, **held), 300)
    assert {name: getattr(config, name) for name in held} == held
    plan_weights(  # which refuses sizes that do not go together
        vocab_size,
        config.wordvec,
        config.hidden,
        config.cell,
        config.layers,
        config.tie_weights,
        adaptive=config.adaptive(vocab_size),
        block=config.block,
    )
    assert config.wrap == "circle" or config.batch_size == 1


@pytest.mark.parametrize("cell", ["rwkv4", "rwkv7"])
def test_a_block_by_itself_is_as_wide_as_the_word_vectors(cell: str) -> None:
    config = chosen(task(level="char", cell=cell), 600)
    assert (config.cell, config.block) == (cell, "plain")
    assert config.wordvec == config.hidden
    check_options(config)


def test_given_epochs_and_iterations_limit_the_time_that_can_be_used() -> None:
    free = best(CHARACTERS, candidates(CHARACTERS), machine(CHARACTERS), 600)
    for held in ({"epochs": 2}, {"iterations": 3000}):
        of = task(level="char", **held)
        _, epochs = best(of, candidates(of), machine(of), 600)
        assert epochs <= min(free[1], 2 if "epochs" in held else 3000 * 32 * 64 / 1e6)


def test_a_rate_that_suits_another_optimizer_is_not_touched() -> None:
    assert chosen(task(optimizer="sgd"), 300).lr == Config().lr
    assert learning_rate(128, 100) == learning_rate(16, 2000) == 0.01


def test_speeds_pass_through_what_was_measured_and_grow_with_the_multiplications() -> None:
    models, speeds = candidates(CHARACTERS), Speeds(65)
    speeds.add(models[6], 2e-6)
    speeds.add(models[3], 1e-6)
    assert speeds(models[3]) == pytest.approx(1e-6)
    assert speeds(models[6]) == pytest.approx(2e-6)
    found = [speeds(model) for model in sorted(models, key=lambda m: multiplications(m, 65))]
    assert found == sorted(found)


def test_the_rest_of_the_options_is_left_alone() -> None:
    config = chosen(task(seed=3, clip_norm=5.0), 60)
    changed = {
        name for name, value in msgspec.structs.asdict(config).items() if value != getattr(Config(), name)
    }
    assert changed <= {
        *(
            "seed",
            "clip_norm",
            "cell",
            "hidden",
            "wordvec",
            "layers",
            "block",
            "tie_weights",
            "embedding_scale",
        ),
        *("batch_size", "time_size", "lr", "dropout", "schedule", "epochs"),
    }
