import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elman.errors import ConfigError
from elman.text.reading import normalise
from elman.text.tokenizers import LEVELS, Tokenizer, make_tokenizer

TRICKY = "ab \n\t\u3000\u2028ΣσİJ\u030c가\u1100\u1161\u11a8é\u0301<>"
texts = st.text(st.sampled_from(TRICKY) | st.characters(exclude_categories=["Cs"]), max_size=40).map(
    normalise
)
cuts = st.integers(1, 9)
tokenizers = st.builds(make_tokenizer, st.sampled_from(LEVELS), st.booleans())


@settings(deadline=None)
@given(tokenizers, texts, cuts, st.booleans())
@example(make_tokenizer("char", lower=True), "ΑΣ ΑΣΑ J\u030c", 2, False)
@example(make_tokenizer("word", lower=True), "ΑΣ ΑΣΑ J\u030c", 2, False)
def test_the_tokens_of_a_stream_are_those_of_the_whole(
    tokenizer: Tokenizer, text: str, size: int, end: bool
) -> None:
    chunks = [text[i : i + size] for i in range(0, len(text), size)]
    joined = [token for piece in tokenizer.pieces(chunks, end) for token in piece]
    assert joined == tokenizer.tokens(text, end)


@settings(deadline=None)
@given(texts)
def test_words_are_what_python_splits(text: str) -> None:
    lines = text.split("\n")
    expected = [token for line in lines[:-1] for token in (*line.split(), "<eos>")] + lines[-1].split()
    assert make_tokenizer("word").tokens(text) == expected
    assert make_tokenizer("word").tokens(text, end=True) == expected + (["<eos>"] if lines[-1] else [])


@settings(deadline=None)
@given(texts)
def test_characters_and_bytes_come_back_as_they_were(text: str) -> None:
    for level in ("char", "jamo", "byte"):
        tokenizer = make_tokenizer(level)
        assert tokenizer.join(tokenizer.tokens(text)) == text
        missing = [] if level == "byte" or not text or text.endswith("\n") else ["\n"]
        assert tokenizer.tokens(text, end=True) == tokenizer.tokens(text) + missing


@settings(deadline=None)
@given(st.lists(st.lists(st.text("abé가", min_size=1), max_size=4)))
def test_words_and_lines_come_back_as_they_were(lines: list[list[str]]) -> None:
    text = "".join(" ".join(line) + "\n" for line in lines)
    tokenizer = make_tokenizer("word")
    assert tokenizer.join(tokenizer.tokens(text)) == text


@settings(deadline=None)
@given(tokenizers, texts)
def test_decoding_one_by_one_is_joining(tokenizer: Tokenizer, text: str) -> None:
    tokens = tokenizer.tokens(text)
    decoder = tokenizer.decoder()
    assert "".join([*map(decoder.push, tokens), decoder.finish()]) == tokenizer.join(tokens)


def test_bytes_are_decoded_as_whole_characters() -> None:
    tokenizer = make_tokenizer("byte")
    tokens = tokenizer.tokens("가a")
    assert tokens == ["\xea", "\xb0", "\x80", "a"]
    decoder = tokenizer.decoder()
    assert [decoder.push(token) for token in tokens] == ["", "", "가", "a"]
    assert decoder.push("\xea") == ""
    assert decoder.finish() == ""
    assert tokenizer.join(["\xb0", "a"]) == "\ufffda"


def test_a_prompt_and_a_line() -> None:
    word = make_tokenizer("word")
    assert word.tokens(" you  say\t") == ["you", "say"]
    assert word.tokens("you say", end=True) == ["you", "say", "<eos>"]
    assert word.tokens("you say\n", end=True) == ["you", "say", "<eos>"]
    assert word.tokens("", end=True) == []
    assert word.join(["you", "<eos>", "<eos>", "say", "hello"]) == "you\n\nsay hello"


def test_lower_case() -> None:
    assert make_tokenizer("word", lower=True).tokens("ΟΔΟΣ J\u030c") == ["οδος", "ǰ"]
    assert make_tokenizer("char", lower=True).tokens("ΣJ\u030c") == ["σ", "ǰ"]
    assert make_tokenizer("byte", lower=True).tokens("AÉ") == ["a", "\xc3", "\x89"]


@pytest.mark.parametrize(
    ("level", "eos"), [("word", "<eos>"), ("char", "\n"), ("jamo", "\n"), ("byte", "\n")]
)
def test_properties_of_tokenizers(level: str, eos: str) -> None:
    tokenizer = make_tokenizer(level, lower=True)
    assert (tokenizer.level, tokenizer.lower, tokenizer.eos) == (level, True, eos)


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ConfigError, match="'morpheme'; choose word, char, jamo, byte or subword"):
        make_tokenizer("morpheme")


def test_a_lone_surrogate_does_no_harm() -> None:
    assert make_tokenizer("byte").tokens("a\ud800") == ["a", "?"]
