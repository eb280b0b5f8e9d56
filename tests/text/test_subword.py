"""Subwords: trained, read from a tokenizer.json, and joined to the exact text."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers as hf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elman.errors import ConfigError, MissingExtra, VocabularyError
from elman.text.corpus import encode_corpus, encode_text
from elman.text.offsets import token_offsets
from elman.text.subword_training import train_subwords
from elman.text.tokenizer_json import Pieces, byte_characters, with_end_of_line
from elman.text.tokenizers import EOS, SubwordTokenizer, make_tokenizer
from elman.text.vocabulary import Vocabulary

TEXT = "톰은 방에 있었다. 메리가 방에 들어왔다.\nTom was in the room. 톰은 웃었다.\n" * 8
HARD = (
    "a Zé\u0301\u0302 \t\u00a0\u3000 방톰뷁\u1112\u1161👨‍👩‍👧🏽\ufeff▁\ue123\U00012000<eos>\n\n\ud800ก\u0e33"
)
TEXTS = st.text(st.one_of(st.sampled_from(HARD), st.characters()), max_size=24)
LEARNT = {kind: train_subwords([TEXT], kind, 360) for kind in ("bpe", "unigram")}
TOKENIZERS = {kind: SubwordTokenizer(text) for kind, text in LEARNT.items()}
KINDS = st.sampled_from(["bpe", "unigram"])


def of_others(leads: bool, **more: Any) -> Any:
    """A tokenizer as other tools make them: blanks are ▁, what is rare goes by bytes."""
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "▁방", "에", "▁to", "m", "▁tom"]
    made = hf.Tokenizer(
        hf.models.Unigram([(piece, -float(k)) for k, piece in enumerate(pieces)], 0, byte_fallback=True)
    )
    made.pre_tokenizer = hf.pre_tokenizers.Metaspace(prepend_scheme="always" if leads else "never")
    for name, value in more.items():
        setattr(made, name, value)
    return made


OTHER = {
    leads: SubwordTokenizer(with_end_of_line(of_others(leads).to_str(), "it")) for leads in (True, False)
}


@settings(deadline=None)
@given(KINDS, TEXTS)
@example("bpe", "  두  칸\t<eos> \n 끝 ")
@example("unigram", "")
def test_every_text_has_tokens_and_comes_back(kind: str, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    tokens = tokenizer.tokens(text)
    assert (tokenizer.vocabulary.encode(tokens) >= 0).all()
    assert tokens.count(EOS) == text.count("\n")
    assert tokenizer.join(tokens) == text.replace("\ud800", "?").encode("utf-8", "replace").decode()


@settings(deadline=None)
@given(st.booleans(), TEXTS.filter(lambda text: "▁" not in text))
@example(True, " tom\n\n  tom")
@example(False, " tom\n\n  tom")
def test_every_text_comes_back_from_tokenizers_of_other_tools(leads: bool, text: str) -> None:
    tokenizer = OTHER[leads]
    assert tokenizer.join(tokenizer.tokens(text)) == text.encode("utf-8", "replace").decode()


@settings(deadline=None)
@given(KINDS, st.lists(st.integers(0, 400), max_size=40))
def test_decoded_text_is_never_half_a_character(kind: str, ids: list[int]) -> None:
    tokenizer = TOKENIZERS[kind]
    size = len(tokenizer.vocabulary)
    tokens = tokenizer.vocabulary.decode([id_ % size for id_ in ids])
    decoder = tokenizer.decoder()
    parts = [*map(decoder.push, tokens), decoder.finish()]
    assert "".join(parts) == tokenizer.join(tokens)
    assert not any("\ufffd" in part for part in parts)


@settings(deadline=None)
@given(KINDS, st.lists(TEXTS, max_size=5), st.booleans(), st.booleans())
def test_a_stream_has_the_tokens_of_the_whole(kind: str, chunks: list[str], end: bool, lower: bool) -> None:
    tokenizer = SubwordTokenizer(LEARNT[kind], lower) if lower else TOKENIZERS[kind]
    pieces = [token for piece in tokenizer.pieces(chunks, end) for token in piece]
    assert pieces == tokenizer.tokens("".join(chunks), end)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_the_same_text_gives_the_same_tokenizer(kind: str) -> None:
    blocks = TEXT.splitlines(keepends=True)
    assert train_subwords(blocks, kind, 360) == LEARNT[kind]
    assert train_subwords([TEXT], kind, 262) != LEARNT[kind]
    assert len(TOKENIZERS[kind].vocabulary) <= 360
    frequent = [
        TOKENIZERS[kind].readable(token) for token in TOKENIZERS[kind].tokens("Tom was in 방에 있었다.")
    ]
    assert {" was", " 방에", " 있었다"} <= set(frequent)


def test_the_bytes_are_pieces_even_without_words() -> None:
    for kind in ("bpe", "unigram"):
        tokenizer = SubwordTokenizer(train_subwords(["\n"], kind, 300))
        assert len(tokenizer.vocabulary) == 257
        assert tokenizer.join(tokenizer.tokens("한")) == "한"


def test_pieces_have_a_readable_form() -> None:
    tokenizer = TOKENIZERS["bpe"]
    shown = [tokenizer.readable(token) for token in tokenizer.tokens("톰은 방에 뷁\n")]
    assert shown[-1] == EOS
    assert "\\xeb" in "".join(shown)
    assert "".join(shown).startswith("톰은 방에 ")


@settings(deadline=None)
@given(KINDS, TEXTS)
@example("bpe", "뷁 \r\ne\u0301")
def test_offsets_of_subwords_cover_the_text(kind: str, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    offsets = token_offsets(tokenizer, text)
    pieces = [text[start:end] for start, end in offsets.tolist()]
    assert all(pieces)
    assert offsets[:, 1].max(initial=0) == len(text) or text == "\ufeff"
    assert np.all(np.diff(offsets[:, 0]) >= 0)


def test_offsets_do_not_count_a_leading_space() -> None:
    text = "tom 방\ntom"
    pieces = [text[start:end] for start, end in token_offsets(OTHER[True], text).tolist()]
    assert pieces == ["tom", " 방", "\n", "tom"]


@pytest.mark.parametrize("tokens", range(0, 15, 3))
def test_parts_of_a_text_cut_by_tokens_join_to_the_text(tmp_path: Path, tokens: int) -> None:
    path = tmp_path / "text.txt"
    path.write_text("톰은 뷁 웃었다.\nTom was 톰  은", encoding="utf-8")
    tokenizer = TOKENIZERS["bpe"]
    whole = encode_corpus([path], tokenizer, cache=None)
    rest = encode_corpus([path], tokenizer, cache=tmp_path / "cache", skip_tokens=tokens)
    assert rest.ids.tolist() == whole.ids[tokens:].tolist()
    if tokens:
        first = encode_corpus([path], tokenizer, cache=tmp_path / "cache", max_tokens=tokens)
        assert first.ids.tolist() == whole.ids[:tokens].tolist()
        assert first.characters + rest.characters == whole.characters
        assert first.bytes + rest.bytes == whole.bytes


def test_the_sizes_of_a_corpus_of_subwords(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("톰은  방에\n있었다", encoding="utf-8")
    corpus = encode_corpus([path], TOKENIZERS["bpe"], cache=tmp_path / "cache")
    assert (corpus.characters, corpus.lines, corpus.words, corpus.unknown) == (11, 2, 3, 0)
    assert corpus.ids.dtype == np.uint16
    assert corpus.vocabulary == TOKENIZERS["bpe"].vocabulary
    other = encode_corpus([path], TOKENIZERS["unigram"], cache=tmp_path / "cache")
    assert other.vocabulary == TOKENIZERS["unigram"].vocabulary
    assert (
        encode_text("톰은  방에\n있었다", TOKENIZERS["bpe"], corpus.vocabulary).ids.tolist()
        == corpus.ids.tolist()
    )
    with pytest.raises(
        VocabularyError, match="the vocabulary at subword level must be that of the tokenizer"
    ):
        encode_corpus([path], TOKENIZERS["bpe"], cache=None, vocabulary=Vocabulary(["a"]))


def test_the_end_of_line_token_is_added_if_missing() -> None:
    given_one = of_others(False)
    ended = json.loads(with_end_of_line(given_one.to_str(), "it"))
    assert (
        ended["added_tokens"][-1] | {"id": 263, "content": EOS, "special": True} == ended["added_tokens"][-1]
    )
    assert with_end_of_line(json.dumps(ended), "it") == with_end_of_line(given_one.to_str(), "it")
    assert TOKENIZERS["bpe"].vocabulary.eos_id == len(TOKENIZERS["bpe"].vocabulary) - 1


def test_settings_that_add_or_randomise_tokens_are_disabled() -> None:
    made = hf.Tokenizer.from_str(LEARNT["bpe"])
    made.enable_truncation(3)
    made.post_processor = hf.processors.TemplateProcessing("<eos> $A", None, [(EOS, made.token_to_id(EOS))])
    data = json.loads(made.to_str())
    data["model"]["dropout"] = 0.9
    changed = SubwordTokenizer(json.dumps(data))
    assert changed.tokens(TEXT) == TOKENIZERS["bpe"].tokens(TEXT)
    assert changed != TOKENIZERS["bpe"]
    assert changed.digest != TOKENIZERS["bpe"].digest


def test_byte_level_tokenizers_may_add_a_leading_space() -> None:
    data = json.loads(LEARNT["bpe"])
    data["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = True
    tokenizer = SubwordTokenizer(json.dumps(data))
    assert tokenizer.tokens("Tom")[0].startswith("Ġ")
    assert [tokenizer.join(tokenizer.tokens(text)) for text in ("방\n 방", " ", "")] == ["방\n 방", " ", ""]
    prepended = of_others(False, normalizer=hf.normalizers.Prepend("▁"), pre_tokenizer=None)
    prepended.normalizer = hf.normalizers.Sequence([prepended.normalizer, hf.normalizers.Replace(" ", "▁")])
    assert SubwordTokenizer(with_end_of_line(prepended.to_str(), "it")).tokens("tom") == ["▁tom"]


def test_a_tokenizer_that_loses_texts_is_refused() -> None:
    words = hf.Tokenizer(hf.models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    small = of_others(False, normalizer=hf.normalizers.Lowercase())
    blanks = of_others(False, normalizer=hf.normalizers.Replace(hf.Regex(" +"), " "))
    data = json.loads(of_others(False).to_str())
    data["model"]["vocab"].append([EOS, 0.0])
    ends = hf.Tokenizer.from_str(json.dumps(data))
    few = of_others(False, model=hf.models.Unigram([("a", -1.0), ("<unk>", 0.0)], 1, byte_fallback=True))
    for made, message in (
        (words, "mine.json cannot encode every text"),
        (blanks, "mine.json changes texts: ' Two  blanks"),
        (small, "mine.json changes texts: ' Two  blanks"),
        (ends, "mine.json reads <eos> in a text as the end of a line"),
        (few, "mine.json lacks the pieces of 256 of the 256 bytes, such as '<0x00>'"),
    ):
        with pytest.raises(ConfigError, match=message):
            Pieces(made.to_str(), "mine.json")
    with pytest.raises(ConfigError, match=r"mine.json is not a valid tokenizer\.json"):
        Pieces("{}", "mine.json")


def test_the_bytes_have_the_usual_characters() -> None:
    assert set(byte_characters()) == set(hf.pre_tokenizers.ByteLevel.alphabet())
    encoded = hf.pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str("한")[0][0]
    assert bytes(byte_characters()[c] for c in encoded) == "한".encode()


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'elman\[subword\]'"):
        make_tokenizer("subword", json=LEARNT["bpe"])


@pytest.mark.parametrize("id_", [2**31, 2**24, -1, 1.5, None, "9" * 3000, 10**4000])
@pytest.mark.parametrize("where", ["vocab", "added"])
def test_ids_that_would_use_up_the_memory_are_refused(id_: Any, where: str) -> None:
    data = json.loads(LEARNT["bpe"])
    if where == "vocab":
        data["model"]["vocab"]["a"] = id_
    else:
        data["added_tokens"][0]["id"] = id_
    with pytest.raises(ConfigError, match=r"the tokenizer (has the id|is not a valid)") as error:
        SubwordTokenizer(json.dumps(data))
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"version": ' + "9" * 5000 + "}", '"\\ud800"', "null", "", "\0", "\ud800"]
)
def test_hostile_tokenizers_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="the tokenizer is not"):
        SubwordTokenizer(text)
