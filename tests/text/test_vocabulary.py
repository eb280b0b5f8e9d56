import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import ConfigError, VocabularyError
from elman.text.vocabulary import Vocabulary

COUNTS = {"the": 5, "cat": 1, "<eos>": 2, "sat": 3, "on": 1, "mat": 3}
counts = st.dictionaries(st.sampled_from([*"abcdefgh", "<unk>", "<eos>"]), st.integers(1, 4), min_size=1)


def test_by_first_appearance_and_by_frequency() -> None:
    assert Vocabulary.build(COUNTS).tokens == ("the", "cat", "<eos>", "sat", "on", "mat")
    by_count = Vocabulary.build(COUNTS, "frequency", eos="<eos>")
    assert by_count.tokens == ("the", "sat", "mat", "<eos>", "cat", "on")
    assert (by_count.unk_id, by_count.eos_id) == (None, 3)


def test_leaving_out_tokens_makes_the_vocabulary_open() -> None:
    rare = Vocabulary.build(COUNTS, min_count=2, eos="<eos>")
    assert rare.tokens == ("the", "<eos>", "sat", "mat", "<unk>")
    assert (rare.unk_id, rare.id("cat")) == (4, 4)
    few = Vocabulary.build(COUNTS, max_size=4, eos="<eos>")
    assert few.tokens == ("the", "<eos>", "sat", "<unk>")
    assert Vocabulary.build(COUNTS, max_size=6).unk is None
    assert Vocabulary.build(COUNTS, max_size=6, open_vocabulary=True).tokens[-1] == "<unk>"
    assert Vocabulary.build(COUNTS, open_vocabulary=True).tokens == (*COUNTS, "<unk>")


def test_an_unknown_token_in_the_text_keeps_its_place() -> None:
    vocabulary = Vocabulary.build({"a": 3, "<unk>": 1, "b": 1, "c": 2}, min_count=2)
    assert vocabulary.tokens == ("a", "<unk>", "c")
    assert vocabulary.unk_id == 1


@settings(deadline=None)
@given(
    counts, st.sampled_from(["appearance", "frequency"]), st.integers(3, 9), st.integers(1, 4), st.booleans()
)
def test_size_and_content_are_as_requested(
    counts: dict[str, int], order: str, max_size: int, min_count: int, opened: bool
) -> None:
    vocabulary = Vocabulary.build(counts, order, max_size, min_count, eos="<eos>", open_vocabulary=opened)
    left_out = [token for token in counts if token not in vocabulary]
    assert len(vocabulary) <= max_size
    assert set(vocabulary.tokens) <= {*counts, "<unk>"}
    assert (vocabulary.unk_id is not None) == (opened or "<unk>" in counts or bool(left_out))
    assert not {"<unk>", "<eos>"} & set(left_out)
    kept = [token for token in vocabulary.tokens if token not in ("<unk>", "<eos>")]
    if left_out and kept:
        assert max(counts[token] for token in left_out) <= max(min_count, *(counts[token] for token in kept))
    if order == "frequency":
        assert [counts[token] for token in kept] == sorted((counts[token] for token in kept), reverse=True)


@pytest.mark.parametrize(
    ("order", "max_size", "min_count", "message"),
    [
        ("alphabet", None, 1, "choose appearance or frequency"),
        ("appearance", None, 0, "min_count must be at least 1, got 0"),
        ("appearance", 2, 1, "max_vocab must be at least 3, got 2"),
    ],
)
def test_invalid_settings_are_refused(order: str, max_size: int | None, min_count: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Vocabulary.build(COUNTS, order, max_size, min_count, eos="<eos>")


@settings(deadline=None)
@given(st.text(max_size=30), st.sets(st.characters(exclude_categories=["Cs"]), min_size=1), st.booleans())
def test_the_fast_way_to_encode_characters_is_the_slow_one(text: str, known: set[str], opened: bool) -> None:
    vocabulary = Vocabulary([*sorted(known), *(["<unk>"] if opened else [])])
    ids = vocabulary.encode_characters(text + "".join(known))
    assert ids.dtype == np.int32
    assert ids.tolist() == vocabulary.encode(list(text + "".join(known))).tolist()
    assert ids.tolist() == [vocabulary.id(character) for character in text + "".join(known)]


def test_closed_and_open() -> None:
    closed, opened = Vocabulary(["a", "b"]), Vocabulary(["a", "<unk>"])
    assert closed.encode(["b", "x"]).tolist() == [1, -1]
    assert opened.encode(["x", "a"]).tolist() == [1, 0]
    assert Vocabulary(["a", "?"], unk="?").unk_id == 1
    assert Vocabulary(["a"], eos="\n").eos_id is None
    assert "a" in closed
    assert "<unk>" not in closed


def test_ids_become_tokens() -> None:
    vocabulary = Vocabulary(["a", "b"])
    assert vocabulary.decode(np.array([1, 0, 1], np.uint16)) == ["b", "a", "b"]
    assert vocabulary.decode([]) == []
    assert vocabulary.token(1) == "b"
    for wrong in (-1, 2):
        with pytest.raises(VocabularyError, match=f"the id {wrong} is outside the vocabulary: 0 to 1"):
            vocabulary.token(wrong)


def test_plain_data_and_back() -> None:
    vocabulary = Vocabulary(["a", "\n", "<unk>"], eos="\n")
    again = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again == vocabulary
    assert (again.digest, hash(again)) == (vocabulary.digest, hash(vocabulary))
    assert again != Vocabulary(["a", "\n", "<unk>"])
    assert again != Vocabulary(["\n", "a", "<unk>"], eos="\n")
    assert again != again.tokens


def test_an_explicit_unknown_token_survives_the_round_trip() -> None:
    closed = Vocabulary.build({"a": 1})
    assert Vocabulary.from_json(closed.to_json()).unk_id is None


@pytest.mark.parametrize("data", [{}, {"tokens": "ab", "unk": None, "eos": None}, []])
def test_foreign_data_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(VocabularyError, match="not a vocabulary"):
        Vocabulary.from_json(data)


def test_invalid_vocabularies_are_refused() -> None:
    with pytest.raises(VocabularyError, match="at least one token"):
        Vocabulary([])
    with pytest.raises(VocabularyError, match="'a' is in the vocabulary more than once"):
        Vocabulary(["a", "b", "a"])
    with pytest.raises(VocabularyError, match="'<unk>' is not in the vocabulary"):
        Vocabulary(["a"], unk="<unk>")


def test_the_bytes() -> None:
    vocabulary = Vocabulary.of_bytes()
    assert len(vocabulary) == 256
    assert vocabulary.encode_characters("\xff\n").tolist() == [255, 10]
    assert vocabulary.eos_id == 10
