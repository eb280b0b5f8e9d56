"""The texts of a run."""

from pathlib import Path

import numpy as np
import pytest

from elman.errors import TextError
from elman.evaluation.perplexity import evaluate
from elman.models.rooms_truth import RoomsTruth
from elman.text.rooms import World
from elman.training.config import Config
from elman.training.corpora import load_corpora
from tiny import SENTENCE, STORY


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    train, valid = tmp_path / "train.txt", tmp_path / "valid.txt"
    train.write_text(STORY, encoding="utf-8")
    valid.write_text(SENTENCE + "tom was asleep .\n", encoding="utf-8")
    return str(train), str(valid)


def test_a_file_is_learnt_from_and_nothing_is_held_out(files: tuple[str, str], tmp_path: Path) -> None:
    found = load_corpora(files[0], None, Config(), tmp_path / "run")
    assert found.valid is None
    assert found.references == {}
    assert found.train.vocabulary.decode(found.train.ids) == STORY.replace("\n", " <eos> ").split()


def test_the_validation_text_is_read_in_the_vocabulary_of_the_training_text(
    files: tuple[str, str], tmp_path: Path
) -> None:
    found = load_corpora(*files, Config(), tmp_path / "run")
    assert found.valid is not None
    assert found.valid.vocabulary == found.train.vocabulary
    assert found.valid.unknown > 0  # "goodbye", among others
    assert found.references == {}


def test_ids_are_kept_beside_the_run(files: tuple[str, str], tmp_path: Path) -> None:
    first = load_corpora(*files, Config(), tmp_path / "runs" / "a")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs" / ".elman-cache").iterdir()}
    assert kept
    second = load_corpora(*files, Config(), tmp_path / "runs" / "b")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    np.testing.assert_array_equal(first.train.ids, second.train.ids)
    assert not (tmp_path / "runs" / "a").exists()


def test_options_choose_the_tokens_and_the_vocabulary(files: tuple[str, str], tmp_path: Path) -> None:
    config = Config(level="char", max_tokens=50, lower=True, vocab_order="frequency")
    found = load_corpora(*files, config, tmp_path / "run")
    assert found.train.tokens == 50
    assert "".join(found.train.vocabulary.decode(found.train.ids)) == STORY[:50]
    assert found.valid is not None
    assert found.valid.tokens > 50  # only what is learnt from is cut
    few = load_corpora(files[0], None, Config(max_vocab=5), tmp_path / "run")
    assert len(few.train.vocabulary) == 5
    assert few.train.unknown > 0


@pytest.mark.parametrize("place", ["elsewhere", "beside a folder of that name"])
def test_a_named_corpus_brings_its_validation_text_and_its_optimum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if place != "elsewhere":
        (tmp_path / "rooms").mkdir()  # such as a run of that name
    found = load_corpora("rooms", None, Config(), tmp_path / "rooms")
    assert found.valid is not None
    truth = RoomsTruth(World("en"), found.train.vocabulary.tokens)
    optimum = evaluate(truth, found.valid.ids, eos=found.train.vocabulary.eos_id).perplexity
    assert found.references["lowest possible"] == pytest.approx(optimum)
    assert optimum < found.references["3-gram"] < len(found.train.vocabulary)


def test_validation_can_be_switched_off(tmp_path: Path) -> None:
    assert load_corpora("rooms", "none", Config(), tmp_path / "run").valid is None


def test_of_a_text_of_which_only_a_part_is_learnt_nothing_is_held_out(tmp_path: Path) -> None:
    assert load_corpora("rooms", None, Config(max_tokens=1000), tmp_path / "run").valid is None


def test_a_named_corpus_of_one_part_has_no_validation_text(tmp_path: Path) -> None:
    assert load_corpora("hello", None, Config(), tmp_path / "run").valid is None


@pytest.mark.parametrize("missing", [0, 1])
def test_a_text_that_is_not_there_is_named(files: tuple[str, str], tmp_path: Path, missing: int) -> None:
    names = list(files)
    names[missing] = str(tmp_path / "gone.txt")
    with pytest.raises(TextError, match=r"gone.txt"):
        load_corpora(names[0], names[1], Config(), tmp_path / "run")
