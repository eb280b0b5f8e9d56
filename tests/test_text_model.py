"""`TextModel`: from text to ids, scores and predictions."""

import copy
import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
from elman.api.import_model import import_model
from elman.errors import ConfigError, RunError
from elman.evaluation.line_scores import score_line
from elman.models.adaptive.cache import CachedModel
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.models.window_models import NPLM
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel, load
from support.ngrams import sentence_model
from support.tiny import STORY, small_lm, text_model


@pytest.mark.parametrize(
    ("level", "unit"), [("word", "word"), ("char", "character"), ("jamo", "jamo"), ("byte", "byte")]
)
def test_says_what_a_perplexity_is_per(level: str, unit: str) -> None:
    assert text_model(level).unit == unit


def test_text_becomes_tokens_and_ids() -> None:
    given = text_model()
    tokens, ids = given.encode("tom was\nsinging")
    assert tokens == ["tom", "was", "<eos>", "singing"]
    assert given.vocabulary.decode(ids) == tokens
    assert given.encode("tom", end=True)[0] == ["tom", "<eos>"]


def test_text_is_composed_as_the_training_text_was() -> None:
    given = text_model("char", "é한\n")
    assert given.encode("e\u0301")[0] == ["é"]
    assert given.encode("\u1112\u1161\u11ab\r\n")[0] == ["한", "\n"]


def test_a_line_ends_where_the_vocabulary_has_an_end_of_line() -> None:
    assert text_model().encode_line("tom was")[0] == ["tom", "was", "<eos>"]
    assert text_model("char", "abc\n").encode_line("ab")[0] == ["a", "b", "\n"]
    assert text_model("char", "abc").encode_line("ab")[0] == ["a", "b"]
    assert text_model().encode_line("")[0] == ["<eos>"]


def test_a_closed_vocabulary_knows_what_it_lacks() -> None:
    given = text_model()
    tokens, ids = given.encode("tom yodelling was")
    assert given.is_unknown(tokens).tolist() == [False, True, False]
    assert (ids < 0).tolist() == [False, True, False]


def test_in_an_open_vocabulary_the_unknown_token_itself_is_unknown() -> None:
    vocabulary = Vocabulary(["a", "<unk>", "<eos>"], eos="<eos>")
    given = TextModel(small_lm(3), make_tokenizer("word"), vocabulary)
    tokens, ids = given.encode("a yodelling <unk>")
    assert given.is_unknown(tokens).tolist() == [False, True, True]
    assert ids.tolist() == [0, 1, 1]


def test_a_text_begins_after_the_end_of_a_line_or_with_the_empty_past() -> None:
    given = text_model()
    assert given.start_id == given.vocabulary.eos_id is not None
    assert text_model("char", "abc").start_id is None  # there is no end of line
    given.start = "empty"
    assert given.start_id is None


SENTENCE = "tom was watching tv in the garden ."


def recurrent(cell: str = "rnn") -> TextModel:
    return text_model(cell=cell)


def windowed() -> TextModel:
    given = text_model()
    return replace(given, model=NPLM(given.model.vocab_size, 4, 5, window=3, dtype=np.float64))


def mixed() -> TextModel:
    ngrams, other = sentence_model(), text_model()
    return replace(ngrams, model=Mixture([ngrams.model, other.model], [0.5, 0.5]))


def cached() -> TextModel:
    ngrams = sentence_model()
    return replace(ngrams, model=CachedModel(ngrams.model, 4, 0.2))


def dynamic() -> TextModel:
    given = text_model()
    return replace(given, model=DynamicModel(given.model, 0.1, block=3))


EVERY = [
    recurrent,
    lambda: recurrent("lstm"),
    lambda: text_model("char"),
    lambda: text_model("byte"),
    sentence_model,
    windowed,
    mixed,
    cached,
    dynamic,
]
every_model = pytest.mark.parametrize("made", EVERY)


def pieces(given: TextModel, sentence: str) -> list[str]:
    """The sentence, cut into what `base_score` reads one by one, and its end."""
    words = sentence.split()
    if given.tokenizer.level == "word":
        return [*words, "\n"]
    return [words[0], *(f" {word}" for word in words[1:]), "\n"]


@every_model
@pytest.mark.parametrize("sentence", [SENTENCE, "", "tom"])
def test_the_score_of_a_sentence_is_that_of_its_line(made: Any, sentence: str) -> None:
    given = made()
    expected = score_line(given, sentence)
    assert given.score(sentence) == pytest.approx(expected.log10_prob, rel=1e-12)
    assert given.scores([sentence, SENTENCE])[0] == pytest.approx(expected.log10_prob, rel=1e-9)
    assert given.perplexity(sentence) == pytest.approx(10 ** (-given.score(sentence) / expected.tokens))


@every_model
def test_word_by_word_a_sentence_has_the_same_score(made: Any) -> None:
    given = made()
    state, total = given.begin_sentence(), 0.0
    for piece in pieces(given, SENTENCE):
        log10_prob, state = given.base_score(state, piece)
        total += log10_prob
    assert total == pytest.approx(given.score(SENTENCE), rel=1e-9)
    first, middle = given.base_score(given.begin_sentence(), "tom was")
    second, end = given.base_score(middle, SENTENCE.removeprefix("tom was") + "\n")
    assert first + second == pytest.approx(total, rel=1e-9)
    assert type(end) is type(state)


@every_model
def test_a_state_is_a_value(made: Any) -> None:
    given = made()
    begin = given.begin_sentence()
    log10_prob, after = given.base_score(begin, "tom")
    again, also_after = given.base_score(copy.copy(begin), "tom")
    assert begin == given.begin_sentence() != after == also_after
    assert hash(after) == hash(also_after)
    assert log10_prob == again
    assert {begin: 1, after: 2}[also_after] == 2
    assert given.base_score(begin, "") == (0.0, begin)


@every_model
def test_boundaries_are_scored_only_on_request(made: Any) -> None:
    given = made()
    with_end = given.score(SENTENCE)
    without = given.score(SENTENCE, eos=False)
    end = given.base_score(given.base_score(given.begin_sentence(), SENTENCE)[1], "\n")[0]
    assert without + end == pytest.approx(with_end, rel=1e-9)
    alone = given.base_score(given.null_context(), SENTENCE)[0]
    assert given.score(SENTENCE, bos=False, eos=False) == pytest.approx(alone, rel=1e-9)
    assert alone != pytest.approx(without, rel=1e-6)


@pytest.mark.parametrize(
    ("made", "order", "lengths"),
    [
        (recurrent, None, [2, 3, 4]),
        (dynamic, None, [2, 3, 4]),
        (mixed, None, [2, 3, 4]),
        (windowed, 4, [2, 3, 4]),
        (sentence_model, 3, [2, 3, 1]),
        (cached, 5, [2, 3, 4]),
    ],
)
def test_full_scores_say_how_much_each_probability_saw(made: Any, order: int | None, lengths: Any) -> None:
    given = made()
    assert given.order == order
    found = list(given.full_scores("tom was garden", eos=False))
    assert [score.ngram_length for score in found] == lengths
    assert next(iter(given.full_scores("tom", bos=False))).ngram_length == 1


def test_a_window_sees_no_more_than_its_width() -> None:
    found = [length for _, length, _ in windowed().full_scores(SENTENCE)]
    assert found == [2, 3, 4, 4, 4, 4, 4, 4, 4]


def test_a_long_sentence_is_read_in_parts() -> None:
    given = recurrent()
    line = STORY.replace("\n", " ") * 20
    found = list(given.full_scores(line))
    assert len(found) == len(line.split()) + 1 > 512
    assert [score.ngram_length for score in found] == [k + 2 for k in range(len(found))]
    assert given.score(line) == pytest.approx(score_line(given, line).log10_prob, rel=1e-12)


def test_unknown_words_of_a_closed_vocabulary_are_impossible_and_not_read() -> None:
    given = recurrent()
    found = list(given.full_scores("tom yodelling was"))
    assert found[1] == (-math.inf, 0, True)
    assert [found[0], *found[2:]] == [pytest.approx(score) for score in given.full_scores("tom was")]
    assert given.score("tom yodelling") == given.scores(["yodelling"])[0] == -math.inf
    assert math.isinf(given.perplexity("tom yodelling"))
    state = given.begin_sentence()
    assert given.base_score(state, "yodelling") == (-math.inf, state)
    assert given.next_distribution("tom yodelling") == given.next_distribution("tom")


def test_unknown_words_of_an_open_vocabulary_are_scored_as_the_unknown_token() -> None:
    given = sentence_model(min_count=2)
    known, unknown = given.full_scores("tom yodelling", eos=False)
    assert (known.unknown, unknown.unknown) == (False, True)
    assert unknown.log10_prob == list(given.full_scores("tom <unk>", eos=False))[1].log10_prob > -math.inf


def test_a_model_knows_its_words() -> None:
    given = text_model()
    assert "tom" in given
    assert "yodelling" not in given
    assert "" not in given
    assert 3 not in given
    assert "<unk>" not in sentence_model(min_count=2)
    assert "tom" in text_model("char")
    assert "tomZ" not in text_model("char")
    lower = TextModel(small_lm(2), make_tokenizer("word", lower=True), Vocabulary(["tom", "<eos>"]))
    assert "TOM" in lower


@every_model
def test_the_next_distribution_is_the_best_of_all(made: Any) -> None:
    given = made()
    whole = given.next_distribution("tom was", top=None)
    assert len(whole) == given.model.vocab_size
    assert sum(probability for _, probability in whole) == pytest.approx(1)
    assert given.next_distribution("tom was", top=3) == whole[:3]
    assert whole == sorted(whole, key=lambda pair: -pair[1])
    token, probability = whole[0]
    state = given.base_score(given.begin_sentence(), "tom was")[1]
    assert given.base_score(state, token)[0] == pytest.approx(math.log10(probability))


def test_top_must_be_at_least_one() -> None:
    with pytest.raises(ConfigError, match="top must be ≥ 1, or None for all tokens; got 0"):
        recurrent().next_distribution("tom", top=0)


def test_without_an_end_of_line_token_no_end_is_scored() -> None:
    given = text_model("char", "abc")
    assert given.score("ab", eos=True) == given.score("ab", eos=False)
    assert given.null_context() == given.begin_sentence()
    assert len(given.surprisal("ab", per="token")) == 2


def test_the_null_context_of_a_stream_model_is_its_start() -> None:
    vocabulary = Vocabulary(["a", "b", "<eos>"], eos="<eos>")
    model = NgramModel.train(np.array([0, 1, 2] * 9), 3, 2)
    given = TextModel(model, make_tokenizer("word"), vocabulary)
    assert given.null_context() == model.start()
    assert [length for _, length, _ in given.full_scores("a b", bos=False)] == [1, 2, 2]


def test_a_model_is_shown_in_a_line() -> None:
    network = "RecurrentLM(RNN 1×5, word vectors 4, vocabulary 24, 290 parameters)"
    assert repr(text_model()) == f"TextModel({network}, words)"
    assert (
        repr(text_model().with_cache(cache=9))
        == f"TextModel(CachedModel({network}, size=9, weight=0.1), words)"
    )
    learning = repr(text_model().dynamic(step="plain", block=7))
    assert learning.startswith(f"TextModel(DynamicModel({network}, ")
    assert "Mixture(0.5 NgramModel + 0.5 RecurrentLM" in repr(mixed())


@every_model
def test_a_text_can_be_evaluated_and_continued(made: Any) -> None:
    given = made()
    found = given.evaluate([SENTENCE])
    assert found.nll_nats == pytest.approx(-math.log(10) * given.score(SENTENCE), rel=1e-6)
    assert found.to_dict()["versions"]["elman"] == elman.__version__
    assert found.to_dict()["bits_per_char"] == pytest.approx(
        found.nll_nats / math.log(2) / (len(SENTENCE) + 1)
    )
    text = given.generate("tom", 7, seed=1, temperature=0.5)
    assert (
        text
        == given.generate("tom", 7, seed=1, temperature=0.5)
        == "".join(given.stream("tom", 7, seed=1, temperature=0.5))
    )
    assert text.startswith("tom")
    with pytest.raises(ConfigError, match="`length` must be ≥ 0, got -1"):
        given.stream("tom", -1)


def test_an_evaluation_is_a_table_for_people_and_programs() -> None:
    found = text_model().evaluate(STORY.splitlines())
    assert repr(found).startswith("perplexity per word ")
    assert "<td" in found._repr_html_()
    assert "cache" not in found.to_dict()
    assert found.perplexity == found.to_dict()["perplexity"]


def test_unknown_words_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    given = text_model()
    given.generate("tom yodelling", 1)
    assert caplog.messages == ["not in the vocabulary, left out: yodelling"]
    given.evaluate(["tom yodelling"])
    assert "1 words are not in the vocabulary, which has no <unk>" in caplog.messages[1]


def test_the_next_tokens_are_a_table() -> None:
    found = recurrent().next("tom was", top=3)
    assert found.to_dict().keys() == {"token", "probability"}
    assert [tuple(row) for row in found] == recurrent().next_distribution("tom was", top=3)
    assert found._repr_html_().count("<tr>") == 3


@pytest.mark.parametrize("kind", [str, Path])
def test_a_model_is_saved_as_a_file_or_a_run(tmp_path: Path, kind: Any) -> None:
    given = sentence_model()
    for name in ("model.safetensors", "run"):
        path = kind(tmp_path / name)
        given.save(path)
        assert load(path).score(SENTENCE) == given.score(SENTENCE)
        with pytest.raises(RunError, match="replace it with `overwrite=True`"):
            given.save(path)
        given.save(path, overwrite=True)


@pytest.mark.parametrize("kind", [str, Path])
def test_other_programs_formats_go_out_and_in(tmp_path: Path, kind: Any) -> None:
    for given, name in ((sentence_model(), "model.arpa"), (text_model(), "model.safetensors")):
        path = kind(tmp_path / name)
        given.export(path, to="torch" if name != "model.arpa" else None)
        assert import_model(path).score(SENTENCE) == pytest.approx(given.score(SENTENCE), rel=1e-5)
    with pytest.raises(ConfigError, match="`level` applies only to a state dict"):
        import_model(kind(tmp_path / "model.arpa"), level="word")
    with pytest.raises(ConfigError, match=r"with the suffix .onnx: MODEL.onnx, not model.arpa"):
        given.export(kind(tmp_path / "model.arpa"), to="onnx")
    with pytest.raises(ConfigError, match="`form` applies only to `to='onnx'`, not to arpa"):
        given.export(kind(tmp_path / "model.arpa"), form="step")


def test_a_backend_may_be_named(tmp_path: Path) -> None:
    text_model().save(tmp_path / "run")
    assert load(str(tmp_path / "run"), "numpy", "cpu").score("tom") == text_model().score("tom")
    with pytest.raises(
        ConfigError, match="needs torch tensors; add `backend='torch'`, or use `device='cpu'`"
    ):
        load(tmp_path / "run", device="cuda")
    with pytest.raises(ConfigError, match="`backend` must be one of numpy, torch, got 'jax'"):
        load(tmp_path / "run", "jax")  # type: ignore[arg-type]


def test_output_weights_may_be_rounded_where_there_are_some(tmp_path: Path) -> None:
    path, ngrams = tmp_path / "model.safetensors", tmp_path / "ngrams.safetensors"
    text_model(dtype=np.float32).save(path)
    exact, rounded = load(path), load(path, output_dtype="int8")
    assert "output weights int8" in repr(rounded.model)
    assert rounded.score("tom was") == pytest.approx(exact.score("tom was"), rel=0.01)
    sentence_model().save(ngrams)
    with pytest.raises(ConfigError, match="only the output weights of a recurrent network"):
        load(ngrams, output_dtype="int8")


def test_results_can_be_sent_to_another_process() -> None:
    given = text_model()
    for found in (given.surprisal(SENTENCE), given.score_lines([SENTENCE]), given.next("tom")):
        assert pickle.loads(pickle.dumps(found)).to_dict() == found.to_dict()
