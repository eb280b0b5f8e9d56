"""Surprisal, token by token."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from elman.evaluation.line_scores import score_line
from elman.evaluation.perplexity import begin
from elman.evaluation.surprisal import TokenReader, WordScore, entropy_bits, token_scores, word_scores
from elman.models.ngram.model import NgramModel
from elman.text.subword_training import train_subwords
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel
from support.every_kind import KINDS, word_model
from support.tiny import small_lm, text_model

LINE = "tom was reading ."


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
def test_surprisals_sum_to_the_score_of_the_line(level: str) -> None:
    given = text_model(level)
    found = list(token_scores(given, LINE))
    assert sum(score.surprisal_bits for score in found) * math.log(2) == pytest.approx(
        score_line(given, LINE).nll_nats, rel=1e-9
    )
    assert [score.token for score in found] == given.encode_line(LINE)[0]
    assert not any(score.unknown for score in found)


def test_each_token_is_scored_after_those_before_it() -> None:
    given = text_model()
    state = begin(given.model, given.vocabulary.eos_id)
    for score in token_scores(given, LINE):
        id_ = given.vocabulary.id(score.token)
        log_probs = given.model.next_log_probs(state)[0]
        assert score.surprisal_bits == pytest.approx(-log_probs[id_] / math.log(2))
        assert score.rank == 1 + np.sum(log_probs > log_probs[id_])
        state = given.model.feed(np.array([[id_]]), state)


def test_the_most_probable_token_has_rank_1() -> None:
    vocabulary = Vocabulary(["a", "b", "<eos>"], eos="<eos>")
    model = NgramModel.train(np.array([0, 1, 2] * 9), 3, 2)
    found = list(token_scores(TextModel(model, make_tokenizer("word"), vocabulary), "a b"))
    assert [score.rank for score in found] == [1, 1, 1]
    assert all(score.surprisal_bits < 0.5 for score in found)
    odd = list(token_scores(TextModel(model, make_tokenizer("word"), vocabulary), "b b"))
    assert odd[0].rank > 1


def test_equally_probable_tokens_share_a_rank() -> None:
    vocabulary = Vocabulary(["a", "b", "c", "<eos>"], eos="<eos>")
    model = NgramModel.train(np.array([3]), 4, 1)
    found = list(token_scores(TextModel(model, make_tokenizer("word"), vocabulary), "a b c"))
    assert [score.rank for score in found] == [2, 2, 2, 1]


def test_a_token_without_an_id_is_skipped() -> None:
    given = text_model()
    with_gap = list(token_scores(given, "tom yodelling was"))
    assert with_gap[1].surprisal_bits == math.inf
    assert (with_gap[1].token, with_gap[1].rank, with_gap[1].unknown) == ("yodelling", 0, True)
    without = list(token_scores(given, "tom was"))
    assert with_gap[0] == without[0]
    for found, expected in zip(with_gap[2:], without[1:], strict=True):
        assert replace(found, start=0, end=0) == replace(expected, start=0, end=0)


def test_an_unknown_token_of_an_open_vocabulary_is_marked_and_scored() -> None:
    vocabulary = Vocabulary(["a", "<unk>", "<eos>"], eos="<eos>")
    model = NgramModel.train(np.array([0, 1, 2] * 3), 3, 2)
    found = list(token_scores(TextModel(model, make_tokenizer("word"), vocabulary), "a yodelling <unk>"))
    assert [score.unknown for score in found] == [False, True, True, False]
    assert all(math.isfinite(score.surprisal_bits) for score in found)


def test_an_empty_line_is_its_end() -> None:
    assert [score.token for score in token_scores(text_model(), "")] == ["<eos>"]
    assert list(token_scores(text_model("char", "abc"), "")) == []


@pytest.mark.parametrize(
    ("level", "text", "expected"),
    [
        ("word", "tom  was\there", ["tom", "was", "here", ""]),
        ("word", "tom\r\nwas", ["tom", "\r\n", "was", ""]),
        ("word", "tom\r", ["tom", "\r"]),
        ("char", "tom", ["t", "o", "m", ""]),
        ("jamo", "한 에a", ["한", "한", "한", " ", "에", "에", "a", ""]),
        ("byte", "한 a", ["한", "한", "한", " ", "a", ""]),
    ],
)
def test_each_token_has_its_offsets(level: str, text: str, expected: list[str]) -> None:
    found = list(token_scores(text_model(level), text))
    assert [text[score.start : score.end] for score in found] == expected


def test_a_decomposed_syllable_has_the_offsets_of_its_parts() -> None:
    decomposed = "\u1112\u1161\u11ab \u1100\u1173\u11af"
    found = list(token_scores(text_model("char", "한 글\n"), decomposed))
    assert [(score.token, score.start, score.end) for score in found] == [
        ("한", 0, 3), (" ", 3, 4), ("글", 4, 7), ("\n", 7, 7),
    ]  # fmt: skip
    assert not any(score.unknown for score in found)


def test_the_entropy_is_that_of_the_distribution_before_the_token() -> None:
    given = text_model()
    for k, score in enumerate(token_scores(given, LINE)):
        past = " ".join(LINE.split()[:k])
        probs = np.array([probability for _, probability in given.next_distribution(past, top=None)])
        assert probs.sum() == pytest.approx(1)
        assert score.entropy_bits == pytest.approx(-(probs * np.log2(probs)).sum())
        assert score.probability == pytest.approx(2**-score.surprisal_bits)


def test_a_uniform_distribution_has_the_entropy_of_its_size() -> None:
    assert entropy_bits(np.log(np.full(8, 1 / 8))) == pytest.approx(3)
    with np.errstate(divide="ignore"):
        assert entropy_bits(np.log(np.array([1.0, 0.0]))) == 0


def test_without_its_beginning_or_its_end_a_line_is_a_part_of_a_text() -> None:
    given = text_model()
    assert [score.token for score in token_scores(given, "tom was", eos=False)] == ["tom", "was"]
    first = next(token_scores(given, "tom", bos=False))
    log_prob = given.model.next_log_probs(given.model.start())[0][given.vocabulary.id("tom")]
    assert first.surprisal_bits == pytest.approx(-log_prob / math.log(2))


KOREAN = "톰 은  방 에 있었다 ."


def subword_model() -> TextModel:
    json = train_subwords(["tom was in the room\nmary said hi in the room\n"] * 3, "bpe", 280)
    tokenizer: Any = make_tokenizer("subword", json=json)
    vocabulary = tokenizer.vocabulary
    return TextModel(small_lm(len(vocabulary)), tokenizer, vocabulary)


def counted(level: str) -> TextModel:
    """An n-gram model of the characters or bytes of a Korean text."""
    model = text_model(level, f"{KOREAN}\n")
    ids = model.encode(f"{KOREAN}\n" * 3)[1]
    return replace(model, model=NgramModel.train(ids, len(model.vocabulary), 3, eos=model.vocabulary.eos_id))


MODELS = {
    "words": lambda: word_model("recurrent"),
    "characters": lambda: text_model("char", f" \t{KOREAN}\ntomwasreading."),
    "jamo": lambda: text_model("jamo", f" \t{KOREAN}\ntomwasreading."),
    "bytes": lambda: text_model("byte"),
    "subwords": subword_model,
    "counted characters": lambda: counted("char"),
    "counted jamo": lambda: counted("jamo"),
    "counted bytes": lambda: counted("byte"),
}


def bits(scores: Any) -> float:
    return float(sum(score.surprisal_bits for score in scores))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("line", ["tom was reading .", "", "ann yodelled"])
def test_the_words_of_a_line_sum_to_its_score(kind: str, line: str) -> None:
    given = word_model(kind)
    found = list(word_scores(given, line))
    assert bits(found) * math.log(2) == pytest.approx(score_line(given, line).nll_nats, rel=1e-9)
    assert [word.word for word in found] == [*line.split(), "<eos>"]
    assert [word.position for word in found] == list(range(1, len(found) + 1))


@pytest.mark.parametrize("name", MODELS)
def test_words_are_separated_by_whitespace_for_all_tokens(name: str) -> None:
    given = MODELS[name]()
    pieces = st.sampled_from(["톰", "방", "t", "tom", "\u0301", " ", "  ", "\t", "\u3000"])

    @settings(max_examples=15, deadline=None)
    @hypothesis_given(st.lists(pieces, max_size=12).map("".join))
    def check(line: str) -> None:
        found = list(word_scores(given, line))
        nll = score_line(given, line).nll_nats
        assert bits(found) * math.log(2) == pytest.approx(nll, rel=1e-9)
        assert [word.word for word in found] == [*line.split(), "<eos>"]
        assert [line[word.start : word.end] for word in found] == [*line.split(), ""]
        assert found[-1].start == len(line)

    check()


def test_a_space_belongs_to_the_word_before_it() -> None:
    given = MODELS["characters"]()
    tokens = list(token_scores(given, " 톰 은  방"))
    found = list(word_scores(given, " 톰 은  방"))
    parts = [
        tokens[:3],
        tokens[3:6],
        tokens[6:7],
        tokens[7:],
    ]  # the line's first blank goes with its first word
    assert [word.surprisal_bits for word in found] == pytest.approx([bits(part) for part in parts])
    assert [word.entropy_bits for word in found] == [part[0].entropy_bits for part in parts]
    assert [word.rank for word in found] == [part[0].rank for part in parts]


def test_a_subword_that_begins_with_a_space_belongs_to_the_word_it_begins() -> None:
    given = subword_model()
    tokens = list(token_scores(given, "the room"))
    second = next(k for k, token in enumerate(tokens) if token.end > 3)
    assert "the room"[tokens[second].start] == " "
    found = list(word_scores(given, "the room"))
    assert [word.surprisal_bits for word in found] == pytest.approx(
        [bits(tokens[:second]), bits(tokens[second:-1]), bits(tokens[-1:])]
    )


def test_the_state_is_carried_through_a_document() -> None:
    given = word_model("recurrent")
    reader = TokenReader(given)
    lines = ["tom was reading .", "mary was asleep ."]
    carried = [list(word_scores(given, line, reader)) for line in lines]
    afresh = [list(word_scores(given, line)) for line in lines]
    assert carried[0] == afresh[0]
    assert bits(carried[1]) != pytest.approx(bits(afresh[1]), rel=1e-6)
    after = given.model.feed(given.encode("\n".join(lines), end=True)[1][None], given.begin_sentence())
    assert_allclose(given.model.next_log_probs(reader.state), given.model.next_log_probs(after))


def test_an_n_gram_model_of_sentences_knows_only_the_sentence() -> None:
    given = word_model("n-gram")
    reader = TokenReader(given)
    lines = ["tom was reading .", "mary was asleep ."]
    assert [list(word_scores(given, line, reader)) for line in lines] == [
        list(word_scores(given, line)) for line in lines
    ]


def test_the_entropy_is_that_of_the_next_token() -> None:
    vocabulary = Vocabulary(["a", "b", "<eos>"], eos="<eos>")
    uniform = NgramModel.train(np.array([0, 1, 2]), 3, 1)
    given = TextModel(uniform, make_tokenizer("word"), vocabulary)
    for word in word_scores(given, "b a"):
        assert word.entropy_bits == pytest.approx(math.log2(3))
        assert word.probability == pytest.approx(1 / 3)
        assert word.rank == 1


def test_a_word_with_an_unknown_character_is_impossible_in_a_closed_vocabulary() -> None:
    found = list(word_scores(MODELS["characters"](), "톰 xyz 은"))
    assert [math.isinf(word.surprisal_bits) for word in found] == [False, True, False, False]
    assert [word.unknown for word in found] == [False, True, False, False]
    assert (found[1].probability, found[1].rank) == (0.0, 0)


def test_an_open_vocabulary_scores_unknown_words() -> None:
    found: list[WordScore] = list(word_scores(word_model("n-gram"), "tom yodelled"))
    assert [word.unknown for word in found] == [False, True, False]
    assert all(math.isfinite(word.surprisal_bits) for word in found)


def test_without_an_end_of_line_there_is_no_row_for_it() -> None:
    given = text_model("char", "ab cab")
    found = list(word_scores(given, "ab cab"))
    assert [word.word for word in found] == ["ab", "cab"]
    assert bits(found) * math.log(2) == pytest.approx(score_line(given, "ab cab").nll_nats)
    assert list(word_scores(given, "")) == []
