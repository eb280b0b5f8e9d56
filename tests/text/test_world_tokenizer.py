"""RWKV's world tokenizer: the longest piece at every place, whole or as a stream."""

from pathlib import Path

import pytest

from elman.errors import VocabularyError
from elman.text.offsets import token_offsets
from elman.text.tokenizers import WorldTokenizer, make_tokenizer
from elman.text.world_vocabulary import read_world_vocabulary
from support.rwkv import write_world_vocabulary

PIECES = ("the", "the garden", "th", ".\n", "\n\n", "정원", "\n\n\n  a")


@pytest.fixture
def tokenizer(tmp_path: Path) -> WorldTokenizer:
    write_world_vocabulary(tmp_path / "vocab.txt", *PIECES)
    return WorldTokenizer(tuple(read_world_vocabulary(tmp_path / "vocab.txt", 320)))


def test_the_longest_piece_is_taken(tokenizer: WorldTokenizer) -> None:
    assert tokenizer.tokens("the garde") == ["the", " ", "g", "a", "r", "d", "e"]
    assert tokenizer.tokens("tthe garden.\n\n") == ["t", "the garden", ".\n", "\n"]
    assert tokenizer.tokens("정원원") == ["정원".encode().decode("latin-1"), *"원".encode().decode("latin-1")]
    assert tokenizer.tokens("") == []
    assert tokenizer.tokens("a", end=True) == ["a", "\n"]


def test_names_of_ids_without_a_piece_are_not_in_texts(tokenizer: WorldTokenizer) -> None:
    assert tokenizer.vocabulary.tokens[0] == "<|endoftext|>"
    assert tokenizer.vocabulary.tokens[-1] == "<unused 319>"
    text = "<|endoftext|><unused 319>"
    assert tokenizer.tokens(text) == list(text)


@pytest.mark.parametrize(
    "text", ["a\n\n\n  b\nthe\n\n", "\n\n\n  a\n\n\n  a", "정원.\n\nthe garden\n x", "a", "\n"]
)
def test_a_stream_gives_the_tokens_of_the_whole_text(tokenizer: WorldTokenizer, text: str) -> None:
    whole = tokenizer.tokens(text)
    assert "".join(tokenizer.blocks(list(text))) == text
    for size in (1, 2, 3, 100):
        chunks = [text[k : k + size] for k in range(0, len(text), size)]
        assert [token for piece in tokenizer.pieces(chunks) for token in piece] == whole
    assert tokenizer.join(whole) == text
    assert sum(tokenizer.byte_lengths(whole)) == len(text.encode())


def test_blocks_end_where_no_piece_can_go_on(tokenizer: WorldTokenizer) -> None:
    assert list(tokenizer.blocks(["the\nth", "e\n\n\n", "x\ny"])) == ["the\n", "the\n\n\nx\n", "y"]


def test_tokens_have_places_in_the_text(tokenizer: WorldTokenizer) -> None:
    assert token_offsets(tokenizer, "a정원b").tolist() == [[0, 1], [1, 3], [3, 4]]


def test_pieces_are_readable(tokenizer: WorldTokenizer) -> None:
    first, *_ = tokenizer.tokens("원")
    assert tokenizer.readable(first) == r"\xec"
    assert tokenizer.readable(tokenizer.tokens("정원")[0]) == "정원"
    assert tokenizer.decoder().push(first) == ""


def test_it_is_made_again_from_its_pieces(tokenizer: WorldTokenizer) -> None:
    again = make_tokenizer("subword", pieces=list(tokenizer.pieces_by_id))
    assert again == tokenizer
    assert repr(again) == "WorldTokenizer(320 pieces)"


def test_every_byte_must_be_a_piece() -> None:
    with pytest.raises(VocabularyError, match="lacks 255 of the 256 bytes, such as 0"):
        WorldTokenizer(("a", "bc"))
