"""The influence of a token is the mean change of the surprisal, read from scratch for every replacement."""

import math

import numpy as np
import pytest

import elman
from elman.errors import ConfigError, TextError
from elman.inspection import influence as module
from elman.text_model import TextModel
from support.every_kind import KINDS, word_model
from support.looked import network

TEXT = "tom was watching tv in his room . mary"
WORDS = TEXT.split()


def bits_of(model: TextModel, words: list[str], index: int) -> float:
    """The surprisal of a word, one text read alone."""
    return model.surprisal(" ".join(words[: index + 1]), per="token", eos=False)[index].surprisal_bits


@pytest.mark.parametrize("likely", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_bits_are_those_of_texts_read_one_by_one(kind: str, likely: bool) -> None:
    model, index = word_model(kind), 7
    found = elman.influence(model, TEXT, index, 3, likely=likely)
    original = bits_of(model, WORDS, index)
    assert (found.token, found.surprisal_bits) == (".", pytest.approx(original))
    assert [row.token for row in found] == WORDS[:index]
    for place, row in enumerate(found):
        assert len(set(row.replacements)) == len(row.replacements) <= 3
        assert likely or len(row.replacements) == 3
        assert not {WORDS[place], "<unk>", "<eos>"} & set(row.replacements)
        changes = [
            bits_of(model, [*WORDS[:place], new, *WORDS[place + 1 :]], index) - original
            for new in row.replacements
        ]
        np.testing.assert_allclose(row.changes, changes, rtol=1e-6, atol=1e-9)
        assert row.bits == pytest.approx(np.abs(changes).mean() if changes else 0, abs=1e-9)
    np.testing.assert_array_equal(found.bits, [row.bits for row in found])


def test_an_n_gram_model_depends_on_no_more_than_its_context() -> None:
    model = word_model("n-gram of a stream")
    assert model.order == 3
    bits = elman.influence(model, TEXT, 6).bits
    assert not bits[:-2].any()
    assert bits[-2:].min() > 0


def test_likely_replacements_are_what_the_model_expects() -> None:
    model = word_model("n-gram")
    drawn = [
        elman.influence(model, "tom was watching tv", 3, 1, rng=np.random.default_rng(seed))[1].replacements[
            0
        ]
        for seed in range(40)
    ]
    expected = model.next_distribution("tom", top=None)
    most = max((each for each in expected if each.token in set(drawn)), key=lambda each: each.probability)
    assert drawn.count(most.token) == max(map(drawn.count, drawn))


def test_the_same_seed_draws_the_same_and_parts_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network("gru")
    whole, other = (elman.influence(model, TEXT, 8, rng=np.random.default_rng(seed)) for seed in (0, 1))
    monkeypatch.setattr(module, "CHUNK", 20)
    again = elman.influence(model, TEXT, 8)
    assert [row.replacements for row in whole] == [row.replacements for row in again]
    assert [row.replacements for row in whole] != [row.replacements for row in other]
    np.testing.assert_allclose(whole.bits, again.bits, rtol=1e-9)


def test_unknown_tokens_are_not_read_and_later_text_does_not_matter() -> None:
    model = word_model("n-gram", closed=True)
    found = elman.influence(model, "tom zeppelin was watching", 3)
    assert found[1] == ("zeppelin", 0.0, (), ())
    shorter = elman.influence(model, "tom was watching", 2)
    np.testing.assert_array_equal(found.bits[[0, 2]], shorter.bits)
    with pytest.raises(ConfigError, match="token 1, 'zeppelin', is not in the vocabulary"):
        elman.influence(model, "tom zeppelin", 1)


@pytest.mark.parametrize("closed", [True, False])
def test_all_influences_are_those_of_every_token(closed: bool) -> None:
    model = word_model("n-gram", closed)
    text = "tom zeppelin was watching tv in"
    found = module.influences(model, text, 2)
    assert [each.position for each in found] == [k for k in range(6) if k != 1 or not closed]
    for each in found:
        alone = elman.influence(model, text, each.position, 2)
        assert (each.surprisal_bits, list(each)) == (alone.surprisal_bits, list(alone))


def test_nothing_before_the_first_token() -> None:
    found = elman.influence(network("rnn"), "tom was", 0)
    assert (len(found), found.bits.shape, found.token) == (0, (0,), "tom")


def test_a_small_vocabulary_gives_fewer_replacements() -> None:
    model = network("rnn", text="a b c\n")
    (row,) = elman.influence(model, "a b", 1, 8)
    assert sorted(row.replacements) == ["b", "c"]


def test_impossible_tokens() -> None:
    difference = module._difference(np.array([-math.inf]), np.array([-math.inf, -1.0]))
    assert difference.tolist() == [0, -math.inf]


def test_arguments_out_of_range() -> None:
    model = network("rnn")
    with pytest.raises(ConfigError, match="index must be that of a token of the text, 0 to 1, got 2"):
        elman.influence(model, "tom was", 2)
    with pytest.raises(ConfigError, match="replacements must be an integer ≥ 1, got 0"):
        elman.influence(model, "tom was", 1, 0)
    with pytest.raises(TextError, match="has no tokens"):
        elman.influence(model, "", 0)


def test_the_table_names_the_tokens_and_says_what_the_bits_are() -> None:
    found = elman.influence(network("rnn"), TEXT, 3, 2)
    assert list(found.to_dict()) == ["token", "bits", "replacements"]
    assert repr(found).splitlines()[1].startswith("tom ")
    assert "surprisal of 'tv' (token 3," in repr(found)
