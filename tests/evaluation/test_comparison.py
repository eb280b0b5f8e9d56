"""Comparing models: scores of lines, valid rankings, and significance of differences."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.errors import ShapeError
from elman.evaluation import comparison_table
from elman.evaluation.comparison import Ranking, line_difference, ranking, replaced_tokens
from elman.evaluation.line_scores import score_lines
from elman.evaluation.perplexity import LineNlls, evaluate
from elman.models.ngram.model import NgramModel
from elman.text.corpus import encode_corpus
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel
from support.ngrams import sentence_model
from support.tiny import STORY, text_model


def lines_of(given: TextModel, text: str) -> Any:
    lines = LineNlls(given.vocabulary.eos_id)
    _, ids = given.encode(text)
    found = evaluate(given.model, ids, eos=given.start_id, unk=given.vocabulary.unk_id, watch=lines)
    return lines.nats(), found.nll_nats


@pytest.mark.parametrize("text", [STORY, STORY + "tom was", "tom", "\n\n", STORY * 10])
def test_the_lines_add_up_to_the_text(text: str) -> None:
    """Ten stories are longer than a block of reading, and lines go on from one to the next."""
    nats, whole = lines_of(text_model(), text)
    assert len(nats) == len(text.splitlines())
    assert nats.sum() == pytest.approx(whole, rel=1e-12)


def test_lines_from_the_initial_state_score_as_in_score_line() -> None:
    given = sentence_model()
    nats, _ = lines_of(given, STORY * 10)
    scores = [score.nll_nats for score in score_lines(given, (STORY * 10).splitlines())]
    np.testing.assert_allclose(nats, scores, rtol=1e-9)


def test_a_text_without_ends_of_lines_is_one_line() -> None:
    lines = LineNlls(None)
    lines(np.array([[1, 2]]), np.array([[-1.0, -2.0]]))
    lines(np.array([[3]]), np.array([[-3.0]]))
    np.testing.assert_allclose(lines.nats(), [6.0])
    assert LineNlls(0).nats().shape == (0,)


def words(*tokens: str, lower: bool = False) -> TextModel:
    model = sentence_model().model
    return TextModel(model, make_tokenizer("word", lower), Vocabulary([*tokens, "<eos>"], eos="<eos>"))


def test_perplexities_rank_models_of_one_vocabulary() -> None:
    given = ranking([words("a", "b", "<unk>"), words("b", "<unk>", "a")], [3, 3])
    assert given.by == "perplexity"
    assert "of the same vocabulary of 4" in given.why
    assert ranking([words("a"), words("a")], [0, 0]).by == "perplexity"
    assert ranking([words("a"), words("a")], [2, 2]).by == "perplexity_known_tokens"


def test_bits_per_character_rank_models_of_other_tokens() -> None:
    given = ranking([words("a", "b", "<unk>"), text_model("char")], [0, 0])
    assert given == Ranking(
        "bits_per_char",
        "the models predict different tokens (words and characters), so perplexities cannot be compared",
    )
    assert ranking([words("a"), words("a", "b")], [1, 0]).by == "bits_per_char"


def test_some_models_cannot_be_ranked() -> None:
    vague = ranking([words("a", "<unk>"), words("a", "b", "<unk>")], [5, 0])
    assert vague.by is None
    assert "(3 and 4 words)" in vague.why
    assert "up to 5 unknown tokens are scored as <unk>" in vague.why
    small = ranking([words("a", lower=True), words("a")], [0, 0])
    assert small.by is None
    assert "lower-case the text" in small.why


def test_a_model_is_warm_before_the_clock_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """n-grams are in their hash table, and a part of the text has been read, when the clock is first looked at."""
    events: list[str] = []
    hashing, reading = NgramModel.use_hash_table, NgramModel.target_log_probs

    def read(self: NgramModel, *args: Any) -> Any:
        events.append("read")
        return reading(self, *args)

    def clock() -> float:
        events.append("clock")
        return 0.001 * len(events)

    monkeypatch.setattr(NgramModel, "use_hash_table", lambda model: (events.append("hash"), hashing(model)))
    monkeypatch.setattr(NgramModel, "target_log_probs", read)
    monkeypatch.setattr(comparison_table, "perf_counter", clock)
    text = tmp_path / "story.txt"
    text.write_text(STORY)
    model = sentence_model()
    for _ in range(2):
        events.clear()
        assert comparison_table.compared("same", model, [text], "utf-8").tokens_per_second > 0
        assert "hash" in events[: events.index("clock")]
        assert "read" in events[: events.index("clock")]


def test_an_unknown_token_in_the_text_itself_is_known(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("a <unk> c\n<unk> a", encoding="utf-16")
    for tokens, replaced in ((("a", "<unk>"), 1), (("a", "c", "<unk>"), 0), (("a",), 3)):
        given = words(*tokens)
        corpus = encode_corpus(
            [path], given.tokenizer, cache=None, vocabulary=given.vocabulary, encoding="utf-16"
        )
        assert replaced_tokens(given, corpus, "utf-16") == replaced


def test_a_difference_has_its_mean_interval_and_probability() -> None:
    """Against the normal approximation of the mean, which is close for 400 lines."""
    rng = np.random.default_rng(1)
    other = rng.gamma(3, 10, 400)
    nats = other + rng.normal(0.5, 4, 400)
    found = line_difference(nats, other, np.random.default_rng(0))
    bits = (nats - other) / math.log(2)
    error = bits.std(ddof=1) / math.sqrt(400)
    assert (found.lines, found.bits) == (400, pytest.approx(bits.mean()))
    assert found.low == pytest.approx(bits.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(bits.mean() + 1.96 * error, abs=0.1 * error)
    assert found.p == pytest.approx(math.erfc(bits.mean() / error / math.sqrt(2)), rel=0.3)
    assert line_difference(nats, other, np.random.default_rng(0)) == found


def test_few_lines_prove_nothing() -> None:
    """Of the 8 signs of three equal differences, 2 give a mean as far from 0."""
    found = line_difference(np.full(3, 2.0), np.ones(3), np.random.default_rng(0))
    assert found.p == pytest.approx(0.25, abs=0.02)
    assert found.low == found.high == found.bits


def test_equal_models_do_not_differ() -> None:
    nats = np.array([1.0, 5.0, 2.0])
    found = line_difference(nats, nats, np.random.default_rng(0))
    assert (found.bits, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_a_difference_needs_the_same_lines() -> None:
    for n, m in ((3, 2), (1, 1)):
        with pytest.raises(ShapeError, match="the same two or more lines"):
            line_difference(np.ones(n), np.ones(m), np.random.default_rng(0))
