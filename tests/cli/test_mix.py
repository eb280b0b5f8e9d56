"""`elman mix`: a mixture is a model like any other, and better than each of its members."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.errors import ModelFileError, VocabularyError
from elman.evaluation.mixing import check_alike
from elman.models.mixture import Mixture
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel, load
from support.command_line import SMALL, contents
from support.tiny import small_lm, text_model

Refused = Callable[..., str]
VALID = "ann was reading in his room . tom came into his room and said hi to ann .\nmary was singing .\n"


@pytest.fixture
def two(command: Any, story: Path) -> tuple[str, str]:
    """A recurrent and an n-gram run of one text with an unknown word; also valid.txt."""
    Path("valid.txt").write_text(VALID, encoding="utf-8")
    options = ("--min-count", 2)
    assert command("train", story, *SMALL, *options, "--cell", "lstm", "-o", "rnn").code == 0
    assert command("train", story, "--model", "ngram", *options, "-o", "ngram").code == 0
    return "rnn", "ngram"


def perplexity(command: Any, run: object, text: object) -> float:
    table = command("eval", run, text).out
    return float(table.splitlines()[0].split()[-1])


def test_table_shows_weights_and_perplexities_of_eval(command: Any, two: tuple[str, str]) -> None:
    outcome = command("mix", *two, "--tune", "valid.txt", "-o", "new/mix")
    assert (outcome.code, outcome.err) == (0, "")
    head, *rows = (line.split("\t") for line in outcome.out.splitlines())
    assert head == ["weight", "perplexity per word", "model"]
    assert [row[2] for row in rows] == [*two, "new/mix"]
    assert float(rows[0][0]) + float(rows[1][0]) == pytest.approx(1, abs=1e-4)
    for _, found, name in rows:
        assert float(found) == pytest.approx(perplexity(command, name, "valid.txt"), rel=1e-4)
    assert float(rows[2][1]) <= min(float(rows[0][1]), float(rows[1][1])) + 1e-4
    assert contents(Path("new/mix")).keys() == {"model.safetensors"}


def test_other_commands_accept_a_mixture(command: Any, refused: Refused, two: tuple[str, str]) -> None:
    command("mix", *two, "--tune", "valid.txt", "-o", "mix")
    assert command("eval", "mix", "valid.txt").out.splitlines()[-1].startswith("state")
    written = command("generate", "mix", "-n", 8, "--seed", 1)
    assert (written.code, len(written.out.split()) > 3) == (0, True)
    line = command("score", "mix", stdin=b"tom was reading\n").out.splitlines()[1]
    tokens = command("score", "mix", "--per-token", stdin=b"tom was reading\n").out.splitlines()[1:]
    bits = sum(float(row.split("\t")[2]) for row in tokens)
    assert bits * np.log(2) == pytest.approx(-float(line.split("\t")[0]), rel=1e-4)
    assert "only n-gram models can be written" in refused("export", "mix", "-o", "mix.arpa")
    assert command("mix", "mix/model.safetensors", "rnn", "--tune", "valid.txt", "-o", "again").code == 0


def test_mixture_records_its_members(command: Any, two: tuple[str, str], story: Path) -> None:
    command("mix", *two, "--tune", "valid.txt", "-o", "mix")
    mixed = load("mix")
    assert isinstance(mixed.model, Mixture)
    assert list(mixed.info["members"]) == [*two]
    assert mixed.info["corpus"] == str(story)
    assert mixed.info["tuned_on"] == str(Path("valid.txt").absolute())


def test_named_corpora_are_tuned_on_their_validation_part(command: Any, story: Path) -> None:
    for order in (1, 2):
        command("train", story, "--model", "ngram", "--order", order, "-o", f"n{order}")
    outcome = command("mix", "n1", "n2", "--tune", "rooms", "-o", "mix")
    assert outcome.code == 0
    table = command("eval", "mix", "rooms", "--split", "valid").out
    (row,) = (line for line in table.splitlines() if line.startswith("perplexity per known word"))
    assert outcome.out.splitlines()[-1].split("\t")[1] == row.split()[-1]


def test_mixture_of_line_models_is_a_line_model(command: Any, two: tuple[str, str], story: Path) -> None:
    command("train", story, "--model", "ngram", "--order", 2, "--min-count", 2, "-o", "bigrams")
    for run, state in (("bigrams", "reset on every line"), ("rnn", "carried through the text")):
        command("mix", "ngram", run, "--tune", "valid.txt", "-o", "mix", "--overwrite")
        table = command("eval", "mix", "valid.txt").out
        assert table.splitlines()[-1].split(maxsplit=1) == ["state", state]


def test_an_arpa_file_can_be_a_member(command: Any, two: tuple[str, str]) -> None:
    command("export", "ngram", "-o", "ngram.arpa")
    tables = [
        command("mix", "rnn", model, "--tune", "valid.txt", "-o", f"mix-{model}").out.split()
        for model in ("ngram", "ngram.arpa")
    ]
    numbers = [[word for word in table if word[0].isdigit()] for table in tables]
    assert numbers[0] == numbers[1] != []


def test_unknown_words_of_a_closed_vocabulary_are_ignored(command: Any, story: Path) -> None:
    Path("valid.txt").write_text("tom was a zeppelin in the garden .\n", encoding="utf-8")
    for order in (1, 3):
        command("train", story, "--model", "ngram", "--order", order, "-o", f"n{order}")
    outcome = command("mix", "n1", "n3", "--tune", "valid.txt", "-o", "mix")
    assert outcome.out.startswith("weight\tperplexity per known word\tmodel\n")
    assert "inf" not in outcome.out


def test_run_is_replaced_only_with_overwrite(command: Any, refused: Refused, two: tuple[str, str]) -> None:
    mix = ("mix", *two, "--tune", "valid.txt", "-o")
    command("train", "valid.txt", "--model", "ngram", "-o", "old")
    before = contents(Path("old"))
    assert refused(*mix, "old").startswith("old already holds a run; replace it with --overwrite")
    assert contents(Path("old")) == before
    assert command(*mix, "old", "--overwrite").code == 0
    assert contents(Path("old")).keys() == {"model.safetensors"}
    kept = contents(Path("rnn"))
    assert refused(*mix, "rnn", "--overwrite").startswith("rnn is one of the runs to mix")
    assert refused(*mix[:1], "rnn/model.safetensors", *mix[2:], "rnn", "--overwrite").startswith(
        "rnn is one of"
    )
    assert contents(Path("rnn")) == kept
    assert command(*mix, ".").code == 0  # the folder that the runs are in is not one of them


def test_missing_arguments_are_refused(refused: Refused, two: tuple[str, str]) -> None:
    given = ("--tune", "valid.txt", "-o", "mix")
    assert refused("mix", "rnn", *given) == "name two or more different models to mix"
    assert refused("mix", "rnn", "rnn", *given) == "rnn is given twice; name different models"
    assert "--tune valid.txt" in refused("mix", *two, "-o", "mix")
    assert refused("mix", *two, "--tune", "valid.txt") == "name the run folder to create: -o MIX"
    assert "none.txt" in refused("mix", *two, "--tune", "none.txt", "-o", "mix")
    assert not Path("mix").exists()


def test_another_vocabulary_is_refused(command: Any, refused: Refused, two: tuple[str, str]) -> None:
    command("train", "story.txt", "--model", "ngram", "-o", "closed")
    message = refused("mix", "rnn", "closed", "--tune", "valid.txt", "-o", "mix")
    assert message.startswith("rnn and closed cannot be mixed: their vocabularies have ")
    command("train", "story.txt", "--model", "ngram", "--level", "char", "-o", "char")
    message = refused("mix", "rnn", "char", "--tune", "valid.txt", "-o", "mix")
    assert message == "rnn and char cannot be mixed: one is a model of words, the other of characters"


def like(tokens: str, unk: str | None = None, eos: str | None = None, **changes: Any) -> TextModel:
    """A model of words with this vocabulary."""
    vocabulary = Vocabulary(tokens.split(), unk, eos)
    tokenizer = changes.pop("tokenizer", text_model().tokenizer)
    return TextModel(small_lm(len(vocabulary)), tokenizer, vocabulary, **changes)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (like("a b c", eos="c"), "have 4 and 3 tokens; the second one lacks 1 of the other's, such as 'd'"),
        (
            like("a b c d e f", eos="c"),
            "have 4 and 6 tokens; the first one lacks 2 of the other's, such as 'e'",
        ),
        (
            like("a d c b", eos="c"),
            "same tokens in a different order: id 1 is 'b' in one and 'd' in the other",
        ),
        (like("a b c d", eos="a"), "the end of a line is 'c' and 'a', the unknown token None and None"),
        (like("a b c d", unk="d", eos="c"), "the unknown token None and 'd'"),
    ],
)
def test_the_difference_between_vocabularies_is_named(other: TextModel, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        check_alike("x", like("a b c d", eos="c"), "y", other)


def test_different_starts_are_refused() -> None:
    one, other = like("a b", eos="b"), like("a b", eos="b", start="empty")
    check_alike("x", one, "y", one)
    with pytest.raises(
        ModelFileError, match="after the end of a line for one and with the empty context for"
    ):
        check_alike("x", one, "y", other)


def test_different_case_is_refused() -> None:
    small = text_model()
    lower = type(small.tokenizer)(lower=True)  # type: ignore[call-arg]
    with pytest.raises(ModelFileError, match="`lower=True`"):
        check_alike("x", like("a b"), "y", like("a b", tokenizer=lower))
