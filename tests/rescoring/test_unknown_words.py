"""Lexicons: existing words are more probable than other strings."""

import math

import pytest

from elman.errors import ConfigError, TextError
from elman.rescoring.lm_scores import Reader
from elman.rescoring.nbest import Candidate, Utterance
from elman.rescoring.unknown_words import LEXICON_FRACTION as SHARE
from elman.rescoring.unknown_words import Lexicon, Spelling, read_lexicon, wordfreq_lexicon
from elman.text.vocabulary import Vocabulary
from support.ngrams import sentence_model


def test_the_words_that_a_vocabulary_lacks_have_probabilities_that_sum_to_1() -> None:
    lexicon = Lexicon({"Tom": 8.0, "crumb": 1.0, "Crumb": 2.0, "sing": 1.0})
    assert lexicon.unknown_to(Vocabulary(["TOM"]), "upper") == {"CRUMB": 0.75, "SING": 0.25}
    assert lexicon.unknown_to(Vocabulary(["tom", "crumb", "sing"]), "lower") == {}


def test_a_file_has_words_and_perhaps_their_frequencies() -> None:
    lexicon = read_lexicon(["one\t3", "", " two ", "one\t1e0"], "a file")
    assert lexicon.unknown_to(Vocabulary(["no"]), "asis") == {"one": 0.8, "two": 0.2}


@pytest.mark.parametrize("given", ["x", "", "0", "-1", "nan", "inf"])
def test_a_frequency_that_is_not_positive_is_refused(given: str) -> None:
    with pytest.raises(TextError, match=r"words\.txt, line 2: .* must be a positive number"):
        read_lexicon(["one", f"two\t{given}"], "words.txt")


def test_a_lexicon_has_words() -> None:
    with pytest.raises(TextError, match=r"words\.txt holds no words"):
        read_lexicon(["", " "], "words.txt")


def test_an_unknown_word_is_one_of_the_lexicon_or_any_string() -> None:
    model = sentence_model(min_count=2)
    texts = ["tom was singing .", "tom was xqzqx ."]
    list_ = [Utterance("u", tuple(Candidate(k, 0.0, t) for k, t in enumerate(texts, 1)))]
    reader = Reader(model, list_, None, "spelled", Lexicon({"Singing": 3.0, "harbour": 1.0, "tom": 90.0}))
    nlls = Spelling(model.vocabulary).nll_nats(["singing", "xqzqx"])
    singing = math.log((1 - SHARE) * math.exp(-nlls["singing"]) + SHARE * 0.75)
    xqzqx = math.log(1 - SHARE) - nlls["xqzqx"]
    assert reader.spelled(0).tolist() == pytest.approx([singing, xqzqx])


def test_wordfreq_knows_words_of_many_languages() -> None:
    pytest.importorskip("wordfreq", reason="needs the extra lexicon")
    english, korean = (
        wordfreq_lexicon(language).unknown_to(Vocabulary(["no"]), "asis") for language in ("en", "ko")
    )
    assert english["crumbs"] > 100 * english.get("recoorous", 0.0)
    assert "안녕" in korean
    with pytest.raises(ConfigError, match="does not have the language 'xx'"):
        wordfreq_lexicon("xx")
