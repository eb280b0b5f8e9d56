"""Warnings about the texts of a run with fixed options."""

from pathlib import Path

import pytest

from elman.training.config import Config
from elman.training.ngram_run import train_ngram
from elman.training.run import TrainingRun
from support.runs import small_config

ONCE = "".join(f"w{k} is new\n" for k in range(1000))


def warnings(
    folder: Path, caplog: pytest.LogCaptureFixture, text: str, valid: str | None = None, **options: object
) -> list[str]:
    (folder / "text.txt").write_text(text)
    TrainingRun.create(folder / "run", str(folder / "text.txt"), small_config(**options), valid=valid)
    return caplog.messages


def test_words_that_occur_once_and_no_validation(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    single, validation = warnings(tmp_path, caplog, ONCE)
    assert single == (
        "1,000 of the 1,003 words of the vocabulary occur only once, too rarely to be learnt, and a new word will "
        "have the probability 0; try `min_count=2`, or `level='subword'`"
    )
    assert "`valid='auto'`" in validation


@pytest.mark.parametrize(
    ("text", "valid", "options"),
    [
        (ONCE, "auto", {"min_count": 2}),
        (ONCE, "none", {"level": "char"}),
        (ONCE[:900], None, {}),
        (ONCE, None, {"about": "a recipe"}),
    ],
    ids=["open vocabulary", "no words", "short", "recipe"],
)
def test_otherwise_there_is_no_warning(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    text: str,
    valid: str | None,
    options: dict[str, object],
) -> None:
    assert warnings(tmp_path, caplog, text, valid, **options) == []


def test_built_in_corpora_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    TrainingRun.create(tmp_path / "run", "prose-en", small_config())
    assert caplog.messages == []


def test_n_grams_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "text.txt").write_text(ONCE)
    train_ngram(tmp_path / "run", str(tmp_path / "text.txt"), Config(model="ngram"))
    (message,) = caplog.messages
    assert "occur only once" in message
