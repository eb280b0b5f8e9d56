"""The texts of a run."""

from pathlib import Path

import numpy as np
import pytest

from elman.errors import DatasetError, TextError
from elman.evaluation.perplexity import evaluate
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import kneser_ney
from elman.models.rooms_truth import RoomsTruth
from elman.text.rooms import World
from elman.training.config import Config
from elman.training.corpora import RunCorpora, check_valid, load_corpora
from support.tiny import SENTENCE, STORY


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    train, valid = tmp_path / "train.txt", tmp_path / "valid.txt"
    train.write_text(STORY, encoding="utf-8")
    valid.write_text(SENTENCE + "tom was asleep .\n", encoding="utf-8")
    return str(train), str(valid)


def test_a_file_is_trained_on_without_held_out_text(files: tuple[str, str], tmp_path: Path) -> None:
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


def test_an_ngram_model_of_the_training_text_is_the_reference(files: tuple[str, str], tmp_path: Path) -> None:
    found = load_corpora(*files, Config(), tmp_path / "run")
    assert found.valid is not None
    eos = found.train.vocabulary.eos_id
    counted = NgramModel.train(found.train.ids, len(found.train.vocabulary), 3, kneser_ney, eos)
    expected = evaluate(counted, found.valid.ids, eos=eos).perplexity_known
    assert found.references == {"3-gram": pytest.approx(expected)}
    by_character = load_corpora(*files, Config(level="char"), tmp_path / "run")
    assert by_character.references.keys() == {"5-gram"}
    assert load_corpora(*files, Config(model="ngram"), tmp_path / "run").references == {}


def test_ids_are_cached_next_to_the_run(files: tuple[str, str], tmp_path: Path) -> None:
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


def test_nothing_is_held_out_of_a_text_limited_by_max_tokens(tmp_path: Path) -> None:
    assert load_corpora("rooms", None, Config(max_tokens=1000), tmp_path / "run").valid is None


def test_a_named_corpus_of_one_part_has_no_validation_text(tmp_path: Path) -> None:
    assert load_corpora("hello", None, Config(), tmp_path / "run").valid is None


@pytest.mark.parametrize("missing", [0, 1])
def test_a_text_that_is_not_there_is_named(files: tuple[str, str], tmp_path: Path, missing: int) -> None:
    names = list(files)
    names[missing] = str(tmp_path / "gone.txt")
    with pytest.raises(TextError, match=r"gone.txt"):
        load_corpora(names[0], names[1], Config(), tmp_path / "run")


# The end of the text, held out

LINES = "".join(f"line number {k} of the text\n" for k in range(40))


def held_out_of(folder: Path, text: str = LINES, config: Config | None = None) -> RunCorpora:
    (folder / "text.txt").write_text(text, encoding="utf-8")
    return load_corpora(str(folder / "text.txt"), "auto", config or Config(), folder / "run")


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
def test_held_out_text_equals_a_separate_file(tmp_path: Path, level: str) -> None:
    config = Config(level=level)
    found = held_out_of(tmp_path, config=config)
    for name, part in (("front.txt", LINES.splitlines(True)[:38]), ("end.txt", LINES.splitlines(True)[38:])):
        (tmp_path / name).write_text("".join(part), encoding="utf-8")
    apart = load_corpora(str(tmp_path / "front.txt"), str(tmp_path / "end.txt"), config, tmp_path / "run")
    assert found.held_out
    assert not apart.held_out
    assert found.valid is not None
    assert apart.valid is not None
    assert found.train.vocabulary == apart.train.vocabulary  # words that only the end has are not known
    for ours, theirs in ((found.train, apart.train), (found.valid, apart.valid)):
        np.testing.assert_array_equal(ours.ids, theirs.ids)
        assert (ours.tokens, ours.unknown, ours.lines) == (theirs.tokens, theirs.unknown, theirs.lines)


def test_the_last_of_the_first_tokens_are_held_out(tmp_path: Path) -> None:
    found = held_out_of(tmp_path, config=Config(max_tokens=140))
    assert found.valid is not None
    assert (found.train.tokens, found.valid.tokens) == (133, 7)
    assert found.valid.vocabulary.decode(found.valid.ids[found.valid.ids >= 0])[:2] == ["line", "number"]


def test_a_named_corpus_that_has_a_validation_text_brings_it(tmp_path: Path) -> None:
    auto, own = (load_corpora("rooms", valid, Config(), tmp_path / "run") for valid in ("auto", None))
    assert auto.valid is not None
    assert own.valid is not None
    assert auto.valid.sources == own.valid.sources
    assert not auto.held_out
    prose = load_corpora("prose-en", "auto", Config(), tmp_path / "run")
    assert prose.held_out


def test_a_text_that_is_too_short_to_hold_out_from(tmp_path: Path) -> None:
    with pytest.raises(
        TextError, match="too short to hold out a part of it: it has 1 tokens; give more text"
    ):
        held_out_of(tmp_path, "a", Config(level="char"))


# Validation texts that measure nothing


def checked(
    train: str, valid: str, allow: bool = False, folder: Path = Path(), level: str = "word"
) -> RunCorpora:
    for name, text in (("train.txt", train), ("valid.txt", valid)):
        (folder / name).write_text(text, encoding="utf-8")
    names = (str(folder / "train.txt"), str(folder / "valid.txt"))
    config = Config.of({"level": level}, "here")
    return check_valid(load_corpora(*names, config, folder / "run"), names[1], config, allow)


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
def test_a_validation_text_of_learnt_lines_is_refused_or_warned_of(tmp_path: Path, level: str) -> None:
    half = "".join(LINES.splitlines(True)[:20])
    new = half.replace("number", "numeral")
    assert checked(LINES + "numeral", half + new, folder=tmp_path, level=level).warning == ""
    for valid in (half, half + new[: len(new) // 2]):
        with pytest.raises(
            TextError, match=r"valid.txt repeats the training text: at least \d+ of its \d+ d"
        ):
            checked(LINES + "numeral", valid[: valid.rindex("\n")], folder=tmp_path, level=level)
    allowed = checked(LINES, half, True, tmp_path, level)
    assert allowed.warning.endswith("its perplexity measures memorisation")


@pytest.mark.parametrize("valid", ["\n\n\n", " \n"])
def test_a_validation_text_of_empty_lines_is_refused(tmp_path: Path, valid: str) -> None:
    with pytest.raises(TextError, match=r"valid.txt has only empty lines; choose another validation text"):
        checked(LINES, valid, folder=tmp_path)


def test_an_empty_validation_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"valid.txt is empty"):
        checked(LINES, "", folder=tmp_path)


@pytest.mark.parametrize("valid", [None, "auto", "rooms"])
def test_the_generated_worlds_repeat_themselves_by_nature(tmp_path: Path, valid: str | None) -> None:
    corpora = load_corpora("rooms", valid, Config(), tmp_path / "run")
    assert check_valid(corpora, valid, Config()) is corpora


def test_held_out_text_that_repeats_the_training_text_is_refused(tmp_path: Path) -> None:
    corpora = load_corpora("hello", "auto", Config(), tmp_path / "run")
    with pytest.raises(TextError, match="the validation text held out of hello repeats the training text"):
        check_valid(corpora, "auto", Config())


def test_a_corpus_of_one_split_does_not_validate_itself(tmp_path: Path) -> None:
    assert load_corpora("hello", None, Config(), tmp_path / "run").valid is None
    with pytest.raises(DatasetError, match="hello has no validation part; hold out the end of the text"):
        load_corpora("hello", "hello", Config(), tmp_path / "run")
    assert load_corpora("prose-en", "hello", Config(min_count=2), tmp_path / "run").valid is not None
