"""`eval` = Σ `score --state carry`: the same text is read in the same way by both, whatever its bytes."""

import io
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from elman import TextModel, Vocabulary, make_tokenizer
from elman.text.subword_training import train_subwords
from elman.text.tokenizers import SubwordTokenizer
from support.tiny import small_lm, text_model

KOREAN = "톰은 방에 있었다.\n메리가 방에 들어왔다.\n\n톰은 집에 있었다.\n"
TEXTS = {
    "LF": KOREAN.encode(),
    "CRLF": KOREAN.replace("\n", "\r\n").encode(),
    "CR": KOREAN.replace("\n", "\r").encode(),
    "NFD": unicodedata.normalize("NFD", KOREAN).encode(),
    "BOM": b"\xef\xbb\xbf" + KOREAN.encode() + b"\xef\xbb\xbf\xef\xbb\xbf" + KOREAN.encode(),
    "no final newline": KOREAN.rstrip().encode(),
    "one line": "톰은 방에".encode(),
    "empty lines": b"\n\n" + KOREAN.encode() + b"\n\n",
    "other spaces": "톰은\u00a0방에\u3000있었다.\x1c\n톰은\u2028방에\x85있었다.\n".encode(),
    "invalid bytes": b"\xff" + KOREAN.encode() + b"caf\xe9 \xed\xa0\x80\n\x00\n\xec",
    "cp949": KOREAN.encode("cp949"),
}
LEVELS = ("word", "char", "jamo", "byte", "subword")


@pytest.fixture(scope="module")
def models() -> dict[str, TextModel]:
    found = {"byte": text_model("byte")}
    for level in ("word", "char", "jamo"):
        units = make_tokenizer(level)
        counts = dict.fromkeys(units.tokens(KOREAN), 2)
        vocabulary = Vocabulary.build(counts, eos=units.eos, open_vocabulary=True)
        found[level] = TextModel(small_lm(len(vocabulary)), units, vocabulary)
    tokenizer = SubwordTokenizer(train_subwords([KOREAN] * 3, "bpe", 280))
    found["subword"] = TextModel(small_lm(len(tokenizer.vocabulary)), tokenizer, tokenizer.vocabulary)
    return found


@pytest.mark.parametrize("errors", ["strict", "replace", "skip"])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("level", LEVELS)
def test_evaluation_is_the_sum_of_the_lines(
    models: dict[str, TextModel], tmp_path: Path, level: str, text: str, errors: Any
) -> None:
    if text in ("invalid bytes", "cp949") and level != "byte" and errors == "strict":
        return
    raw = TEXTS[text]
    (tmp_path / "text.txt").write_bytes(raw)
    model = models[level]
    for given in (tmp_path / "text.txt", io.BytesIO(raw)):
        again = given if isinstance(given, Path) else io.BytesIO(raw)
        if errors == "skip" and text == "cp949" and level != "byte":
            continue  # nothing is left
        whole = model.evaluate(given, errors=errors)
        lines = model.score_lines(again, state="carry", errors=errors)
        assert sum(line.tokens for line in lines) == whole.tokens
        assert sum(line.unknown for line in lines) == whole.unknown_tokens
        assert sum(line.nll_nats for line in lines) == pytest.approx(whole.nll_nats, rel=1e-6)
        if level == "byte":
            assert whole.tokens == len(raw)
        assert all(line.text.isprintable() or level != "byte" for line in lines)


@pytest.mark.parametrize("level", LEVELS)
def test_lines_of_python_are_the_same_text(models: dict[str, TextModel], level: str) -> None:
    model, lines = models[level], unicodedata.normalize("NFD", KOREAN).split("\n")
    whole = model.evaluate(lines)
    scores = model.score_lines(lines, state="carry")
    assert sum(line.nll_nats for line in scores) == pytest.approx(whole.nll_nats, rel=1e-6)
    as_bytes = [line.encode() for line in lines]
    assert model.evaluate(as_bytes).nll_nats == whole.nll_nats
    assert model.scores(as_bytes).tolist() == model.scores(lines).tolist()


def test_bytes_are_scored_as_they_are(models: dict[str, TextModel]) -> None:
    model = models["byte"]
    decomposed = unicodedata.normalize("NFD", "한글")
    for text in (decomposed, "a\r", "\ufeffa", "한글"):
        assert model.encode(text)[1].tolist() == list(text.encode())
        assert model.score(text) == model.score(text.encode())
        tokens = [token.surprisal_bits for token in model.surprisal([text], per="token")]
        assert len(tokens) == len(text.encode()) + 1
    assert model.encode(b"caf\xe9")[1].tolist() == list(b"caf\xe9")
    assert [word.word for word in model.surprisal(b"caf\xe9 au\n")] == [r"caf\xe9", "au", "<eos>"]
    assert model.generate(b"caf\xe9 ", 0) == "caf\ufffd "
