"""What `train` chooses where neither a recipe nor a size is given, and short texts."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.errors import TextError
from elman.formats.model_file import MODEL_NAME
from elman.text_model import load
from elman.training import defaults
from elman.training.config import Config
from elman.training.defaults import PATIENCE, SECONDS, Chosen, Look, choose_defaults, level_for
from elman.training.run import TrainingRun
from support.runs import small_config
from support.tiny import STORY

PROSE = STORY * 200  # 60,000 characters
PLAIN = Config()


def log(lines: int) -> str:
    rng = random.Random(0)
    return "".join(
        f"12:{k:07} job/{rng.getrandbits(20):x} done in {rng.random():.4f} s\n" for k in range(lines)
    )


def korean(words: int) -> str:
    rng = random.Random(0)
    syllables = "가나다라마바사아자차카타파하고노도로모보소오조초코토포호구누두루무부수우"
    return "".join("".join(rng.choices(syllables, k=3)) + (" " if k % 10 else ".\n") for k in range(words))


@pytest.fixture
def choose(tmp_path: Path) -> Any:
    def chosen(text: str | bytes, how: Any = None, **given: object) -> Chosen:
        path = tmp_path / "text.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return choose_defaults(str(path), Config.of(given, "this test"), given, **(how or {}))

    return chosen


@pytest.mark.parametrize("subwords", [True, False])
@pytest.mark.parametrize(
    ("text", "level"),
    [
        (PROSE, "word"),
        (STORY, "char"),
        ("You say goodbye and I say hello.", "char"),
        ("x", "char"),
        (log(3000), "subword"),
        (log(1500), "char"),
        (korean(40_000), "subword"),
        (korean(2_000), "char"),
        ("今日は天気がいいので、公園に行きました。\n" * 3000, "char"),
        ("天地玄黃宇宙洪荒日月盈昃辰宿列張", "byte"),
    ],
    ids=[
        "prose",
        "story",
        "line",
        "x",
        "log",
        "short log",
        "Korean",
        "short Korean",
        "Japanese",
        "sixteen characters",
    ],
)
def test_the_level_suits_the_text(
    choose: Any, monkeypatch: pytest.MonkeyPatch, text: str, level: str, subwords: bool
) -> None:
    monkeypatch.setattr(defaults, "find_spec", lambda name: subwords or None)
    found = choose(text)
    assert found.config.level == ("char" if level == "subword" and not subwords else level)
    assert found.held == frozenset()
    assert found.config.open_vocabulary == (found.config.level in ("word", "char"))
    assert len(found.reasons) == 3
    assert all("\n" not in reason for reason in found.reasons)


def test_words_that_occur_once_are_unknown_and_the_end_is_held_out(choose: Any) -> None:
    found = choose(PROSE)
    assert (found.valid, found.config.min_count, found.config.patience) == ("auto", 2, PATIENCE)
    assert found.config.time_budget == SECONDS
    assert found.allow_overlap
    assert found.reasons[0].endswith("(`level='word'`, `open_vocabulary=True`, `min_count=2`)")


def test_of_a_tiny_text_nothing_is_held_out(choose: Any) -> None:
    found = choose(STORY)
    assert (found.valid, found.config.min_count, found.config.patience) == ("none", 1, 0)
    assert "too short to hold out a part" in found.reasons[1]


def test_a_text_that_ends_with_empty_lines_is_not_held_out(choose: Any) -> None:
    assert choose(PROSE + "\n" * 6000).valid == "none"


def test_given_options_stay(choose: Any) -> None:
    given = {"level": "char", "min_count": 3, "open_vocabulary": False, "patience": 1, "time_budget": 9.0}
    found = choose(PROSE, {"valid": "none"}, **given)
    assert {name: getattr(found.config, name) for name in given} == given
    assert (found.valid, found.allow_overlap, found.held) == ("none", False, frozenset(given))
    assert choose(PROSE, epochs=3).config.patience == 0
    assert choose(PROSE, max_tokens=100).valid == "none"
    assert choose(log(3000), min_count=2).config.level == "char"
    assert choose(PROSE, level="subword", tokenizer="x.json").config.vocab_size == PLAIN.vocab_size


@pytest.mark.parametrize(
    ("how", "given"),
    [
        ({"choose": False}, {}),
        ({"recipe": "textbook"}, {}),
        ({}, {"hidden": 5}),
        ({}, {"model": "ngram"}),
        ({}, {"time_budget": 0.0}),
    ],
    ids=str,
)
def test_a_recipe_a_size_another_model_or_no_time_limit_keep_the_fixed_defaults(
    choose: Any, how: dict[str, Any], given: dict[str, Any]
) -> None:
    assert choose(PROSE, how, **given) == Chosen(Config.of(given, "this test"), None, None)


def test_a_text_that_cannot_be_read_is_left_to_the_run(choose: Any, tmp_path: Path) -> None:
    fixed = Chosen(PLAIN, None, None)
    assert choose(b"") == fixed
    assert choose(b"caf\xe9 " * 9000) == fixed
    assert choose(b"caf\xe9 " * 9000, level="byte").valid == "auto"  # bytes can always be read
    assert choose_defaults(str(tmp_path / "gone.txt"), PLAIN, ()) == fixed


def test_named_corpora_keep_their_validation_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "has_validation", lambda corpus: True)
    found = choose_defaults("prose-en", PLAIN, ())
    assert (found.valid, found.config.patience) == (None, PATIENCE)
    assert found.reasons[1] == "validation: the validation part of prose-en"


def test_all_files_of_a_folder_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(PROSE)
    (tmp_path / "b.log").write_text(log(9000))
    found = choose_defaults(str(tmp_path), PLAIN, ())
    assert found.config.level in ("subword", "char")


def test_many_languages_are_made_of_words() -> None:
    for text in ("मैं घर जा रहा हूँ।", "Er hat's nicht, sagte sie – und ging.", "Не знаю, кто-то был там!"):
        assert Look.at(text, 100_000, False).odd == 0
    assert Look.at("x=1; y=f(x) 2024-01-02 /usr/bin", 10, False).odd == 1
    chinese = Look.at("我 爱 北京 天安门 。 " * 20_000, 200_000, False)
    assert level_for(chinese)[0] == "word"  # already divided by spaces


@pytest.mark.parametrize(
    ("text", "new"),
    [(STORY, "zebra Ω"), ("a\nb", "zz"), ("ab", "zz"), (korean(1500), "한글 문장")],
    ids=["story", "three characters", "two", "Korean"],
)
def test_a_new_sentence_never_has_probability_0(choose: Any, tmp_path: Path, text: str, new: str) -> None:
    found = choose(text, time_budget=0.2)
    run = TrainingRun.create(
        tmp_path / "run", str(tmp_path / "text.txt"), found.config, valid=found.valid, held=found.held
    )
    run.train()
    assert run.config.cell == ("lstm" if run.config.level in ("word", "subword") else "fpool")
    assert np.isfinite(load(tmp_path / "run" / MODEL_NAME).score(new))


def test_a_text_of_repeated_lines_is_trained_on(choose: Any, tmp_path: Path) -> None:
    found = choose("the same line again and again\n" * 2000, time_budget=0.05)
    run = TrainingRun.create(
        tmp_path / "run",
        str(tmp_path / "text.txt"),
        found.config,
        valid=found.valid,
        held=found.held,
        allow_overlap=found.allow_overlap,
    )
    assert run.corpora.held_out
    assert "repeats the training text" in run.corpora.warning


def test_one_block_is_trained_and_kept_when_measuring_took_all_the_time(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(PROSE)
    config = Config(level="char", time_budget=1e-9)
    run = TrainingRun.create(
        tmp_path / "run", str(tmp_path / "text.txt"), config, valid="auto", held=(), allow_overlap=True
    )
    run.train()
    assert run.trainer.progress.iteration == 1
    assert run.finished
    assert load(tmp_path / "run").info["best"]["iteration"] == 1


def test_given_epochs_are_not_cut_short_by_the_default_time(choose: Any, tmp_path: Path) -> None:
    found = choose(STORY, epochs=2)
    run = TrainingRun.create(
        tmp_path / "run", str(tmp_path / "text.txt"), found.config, valid="none", held=found.held
    )
    assert (run.config.epochs, run.config.time_budget) == (2, 0.0)


@pytest.mark.parametrize(
    ("text", "level", "block"),
    [(STORY, "char", (8, 35)), ("a b c d e f g h", "word", (1, 8)), ("ab", "char", (1, 1))],
)
def test_a_short_text_shrinks_the_block(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, level: str, block: tuple[int, int]
) -> None:
    caplog.set_level("INFO", "elman")
    (tmp_path / "text.txt").write_text(text)
    config = small_config(level=level, batch_size=20, time_size=35)
    run = TrainingRun.create(tmp_path / "run", str(tmp_path / "text.txt"), config)
    assert (run.config.batch_size, run.config.time_size) == block
    assert "is shorter than a block of 20 × 35" in caplog.text
    run.train()
    assert TrainingRun.resume(tmp_path / "run").config == run.config


def test_a_given_block_must_fit(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a b c d e f g h")
    with pytest.raises(TextError, match="9 tokens, but one block of 20 sequences of 1 steps needs 21"):
        TrainingRun.create(
            tmp_path / "run", str(tmp_path / "text.txt"), small_config(batch_size=20), given=("batch_size",)
        )
