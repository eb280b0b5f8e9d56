"""ARPA files: writing, reading, and errors for broken ones."""

import bz2
import errno
import gzip
import lzma
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import elman
from elman import kenlm_compat
from elman.errors import ConfigError, ElmanError, ModelFileError
from elman.evaluation.line_scores import score_line
from elman.formats.arpa_reader import read_arpa
from elman.formats.arpa_writer import write_arpa
from elman.formats.model_file import save_model
from elman.models.base import LanguageModel
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import kneser_ney, witten_bell
from elman.models.tokenized import TokenizedModel
from elman.text.corpus import encode_corpus
from elman.text.offsets import token_offsets
from elman.text.tokenizers import Tokenizer, make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel, load
from support.ngrams import sentence_model
from support.tiny import STORY, text_model

SMALL = """made by hand
\\data\\
ngram 1=5
ngram 2=4
ngram 3=1

\\1-grams:
-0.6\t<unk>
-99\t<s>\t-0.5
-0.7\t</s>
-0.4\ta\t-0.25
-0.9\tb\t0

\\2-grams:
-0.3\t<s> a\t-0.125
-1.0\ta b\t0.1
-0.2\ta </s>
-0.5\tb a

\\3-grams:
-0.05\t<s> a </s>

\\end\\
"""


def written(text: str, folder: Path) -> Path:
    path = folder / "model.arpa"
    path.write_text(text, encoding="utf-8")
    return path


def log10_probs(model: TextModel, line: str) -> list[float]:
    """log10 P of each token of a line and of its end."""
    _, ids = model.encode_line(line)
    found, _ = model.model.target_log_probs(ids[None], model.model.start())
    return list(found[0] / math.log(10))


def test_the_numbers_of_a_file_are_the_probabilities(tmp_path: Path) -> None:
    model: Any = read_arpa(written(SMALL, tmp_path))
    assert model.vocabulary.tokens == ("<unk>", "<eos>", "a", "b")
    assert (model.vocabulary.unk, model.vocabulary.eos, model.model.order) == ("<unk>", "<eos>", 3)
    assert log10_probs(model, "a") == pytest.approx([-0.3, -0.05])
    assert log10_probs(model, "b") == pytest.approx([-0.5 - 0.9, -0.7])
    # P(b | <s> a) = backoff(<s> a) P(b | a), P(a | a b) = backoff(a b) P(a | b), P(</s> | b a) = P(</s> | a)
    assert log10_probs(model, "a b a") == pytest.approx([-0.3, -0.125 - 1.0, 0.1 - 0.5, -0.2])
    assert log10_probs(model, "zeppelin a") == pytest.approx([-0.5 - 0.6, -0.4, -0.2])
    assert score_line(model, "a").log10_prob == pytest.approx(-0.35)


def test_what_is_written_line_by_line(tmp_path: Path) -> None:
    write_arpa(tmp_path / "m.arpa", sentence_model("a b\nb\n", order=2, smoothing=witten_bell))
    # c(a) = 1, c(b) = 2, c(<eos>) = 2, three of them distinct: P(a) = (1 + 3/3) / 8, P(b) = P(<eos>) = 3/8
    # P(a | <s>) = (1 + 2 P(a)) / 4 = 3/8; P(b | <s>) = (1 + 2 P(b)) / 4; P(b | a) = (1 + P(b)) / 2
    assert (tmp_path / "m.arpa").read_text("utf-8").splitlines() == [
        "\\data\\",
        "ngram 1=4",
        "ngram 2=4",
        "",
        "\\1-grams:",
        f"{math.log10(1 / 4):.9g}\ta\t{math.log10(1 / 2):.9g}",
        f"{math.log10(3 / 8):.9g}\tb\t{math.log10(1 / 3):.9g}",
        f"{math.log10(3 / 8):.9g}\t</s>",
        f"-99\t<s>\t{math.log10(1 / 2):.9g}",
        "",
        "\\2-grams:",
        f"{math.log10(11 / 16):.9g}\ta b",
        f"{math.log10((2 + 3 / 8) / 3):.9g}\tb </s>",
        f"{math.log10(3 / 8):.9g}\t<s> a",
        f"{math.log10(7 / 16):.9g}\t<s> b",
        "",
        "\\end\\",
    ]


@pytest.mark.parametrize("smoothing", [kneser_ney, witten_bell])
@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("min_count", [1, 2])
def test_writing_and_reading_gives_the_same_probabilities(
    tmp_path: Path, smoothing: Any, order: int, min_count: int
) -> None:
    model = sentence_model(order=order, smoothing=smoothing, min_count=min_count)
    write_arpa(tmp_path / "m.arpa", model)
    again = read_arpa(tmp_path / "m.arpa")
    assert again.vocabulary == model.vocabulary
    rng = np.random.default_rng(order)
    ids = rng.integers(0, len(model.vocabulary), (20, 15))
    for row in (*ids, model.encode(STORY)[1]):
        state = model.model.feed(row[None], model.model.start())
        same = again.model.feed(row[None], again.model.start())
        assert same == state
        np.testing.assert_allclose(
            again.model.next_log_probs(same), model.model.next_log_probs(state), rtol=1e-7
        )
        assert np.exp(again.model.next_log_probs(same)).sum() == pytest.approx(1, abs=1e-7)
    write_arpa(tmp_path / "twice.arpa", again)
    assert (tmp_path / "twice.arpa").read_bytes() == (tmp_path / "m.arpa").read_bytes()


@settings(deadline=None, max_examples=30)
@given(lines=st.lists(st.text("ab ", max_size=6), min_size=1, max_size=6), order=st.integers(1, 6))
def test_any_text_comes_back(lines: list[str], order: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("arpa") / "m.arpa"
    model = sentence_model("\n".join([*lines, "a"]), order)
    write_arpa(path, model)
    for line in lines:
        assert log10_probs(read_arpa(path), line) == pytest.approx(log10_probs(model, line), rel=1e-7)


def test_a_token_that_the_text_lacks_is_among_the_1_grams(tmp_path: Path) -> None:
    model = sentence_model()
    more = Vocabulary([*model.vocabulary.tokens, "zeppelin"], eos="<eos>")
    _, ids = model.encode(STORY)
    markov = NgramModel.train(ids, len(more), 2, kneser_ney, more.eos_id)
    write_arpa(tmp_path / "m.arpa", TextModel(markov, model.tokenizer, more))
    again = read_arpa(tmp_path / "m.arpa")
    assert again.vocabulary.tokens == more.tokens
    assert log10_probs(again, "zeppelin") == pytest.approx(
        log10_probs(TextModel(markov, model.tokenizer, more), "zeppelin"), rel=1e-7
    )


def test_it_is_loaded_by_its_name_zipped_or_not(tmp_path: Path) -> None:
    path = written(SMALL, tmp_path)
    (tmp_path / "zipped.arpa.gz").write_bytes(gzip.compress(path.read_bytes()))
    for name in (path, str(tmp_path / "zipped.arpa.gz")):
        assert log10_probs(load(name), "a") == pytest.approx([-0.3, -0.05])
    save_model(tmp_path / "m.safetensors", load(path))
    assert log10_probs(load(tmp_path / "m.safetensors"), "a b") == log10_probs(load(path), "a b")


def test_words_are_compared_as_texts_are_read(tmp_path: Path) -> None:
    decomposed = "cafe\u0301"
    model = read_arpa(written(SMALL.replace("b", decomposed), tmp_path))
    assert log10_probs(model, "caf\u00e9") == log10_probs(model, decomposed) == pytest.approx([-1.4, -0.7])


def test_other_programs_habits_are_understood(tmp_path: Path) -> None:
    habits = SMALL.replace("ngram 1=5", "ngram  1 = 5").replace("\t", " ").replace("\n", "\r\n")
    habits = habits.replace("<unk>", "<UNK>").replace("-99", "-inf").replace("\\2-grams:", "\n\n\\2-grams:")
    model = read_arpa(written(habits, tmp_path))
    assert model.vocabulary.unk == "<UNK>"
    assert log10_probs(model, "zeppelin a") == pytest.approx([-1.1, -0.4, -0.2])


def test_a_file_without_an_unknown_word_is_a_closed_vocabulary(tmp_path: Path) -> None:
    model = read_arpa(written(SMALL.replace("<unk>", "c"), tmp_path))
    assert model.vocabulary.unk is None
    assert score_line(model, "zeppelin").nll_nats == math.inf


def test_a_listed_probability_of_zero_stays_a_number(tmp_path: Path) -> None:
    model = read_arpa(
        written(SMALL.replace("-1.0\ta b", "-99\ta b").replace("-0.7\t</s>", "-inf\t</s>"), tmp_path)
    )
    (_, impossible, _) = log10_probs(model, "a b")
    assert -99 < impossible < -9


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\data\\", "data", r"is not an ARPA file: it has no line \\data\\"),
        ("ngram 2=4", "ngram 3=4", r", line 4: expected 'ngram 2=COUNT' or \\1-grams:, got 'ngram 3=4'"),
        ("ngram 2=4", "ngrams", r", line 4: expected 'ngram 2=COUNT'"),
        ("ngram 1=5\nngram 2=4\nngram 3=1\n", "", r", line 4: expected 'ngram 1=COUNT' before the 1-grams"),
        ("ngram 1=5", "ngram 1=6", r", line 14: the header announces 6 1-grams, but only 5 are listed"),
        ("ngram 1=5", "ngram 1=4", r", line 12: expected \\2-grams: after the 4 1-grams .* got '-0.9 b 0'"),
        ("\\3-grams:", "\\4-grams:", r", line 20: expected \\3-grams: after the 4 2-grams"),
        ("\\end\\", "", r", line 23: the file ends here without \\end\\; it is truncated"),
        (
            "-0.2\ta </s>\n-0.5\tb a\n\n\\3-grams:\n-0.05\t<s> a </s>\n\n\\end\\\n",
            "",
            r", line 16: the file ends",
        ),
        ("-0.5\tb a", "-0.5\tb", ", line 18: a 2-gram must have 3 or 4 fields, got 2"),
        ("-0.5\tb a", "-0.5\tb a -1 -1", ", line 18: a 2-gram must have 3 or 4 fields, got 5"),
        (
            "-0.5\tb a",
            "x\tb a",
            ", line 18: the log10 of a probability must be a number of at most 0, got 'x'",
        ),
        ("-0.5\tb a", "nan\tb a", ", line 18: the log10 of a probability must be a number"),
        ("-0.5\tb a", "0.5\tb a", ", line 18: the log10 of a probability must be a number of at most 0"),
        (
            "b\t0",
            "b\tzero",
            ", line 12: the log10 of a backoff weight must be a number of at most 99, got 'zero'",
        ),
        ("b\t0", "b\t400", ", line 12: the log10 of a backoff weight"),
        ("-0.5\tb a", "-0.5\tb zeppelin", ", line 18: the word 'zeppelin' is not among the 1-grams"),
        ("-0.9\tb", "-0.9\ta", ", line 12: the word 'a' is listed among the 1-grams twice"),
        ("-99\t<s>", "-99\tstart", ", line 15: the word '<s>' is not among the 1-grams"),
        ("-0.5\tb a", "-0.5\ta b", ", line 18: this 2-gram is listed a second time"),
        ("<s> a </s>", "<s> b a", ", line 21: this 3-gram begins with a 2-gram that is not listed"),
        ("</s>", "end", "has no </s> among its 1-grams"),
        ("<unk>", "<eos>", "has both <eos> and </s> among its 1-grams"),
    ],
)
def test_a_broken_file_is_one_line_that_says_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SMALL
    with pytest.raises(ModelFileError, match=message) as error:
        read_arpa(written(SMALL.replace(old, new), tmp_path))
    assert "\n" not in str(error.value)
    assert "model.arpa" in str(error.value)


def test_a_file_that_is_not_an_arpa_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="there is no ARPA file at"):
        read_arpa(tmp_path / "gone.arpa")
    path = written("", tmp_path)
    with pytest.raises(ModelFileError, match="is not an ARPA file"):
        load(path)
    path.write_bytes(SMALL.encode().replace(b"b\t0", b"\xff\t0"))
    with pytest.raises(ModelFileError, match=r", line 12: '\\\\xff' is not UTF-8"):
        load(path)
    zipped = tmp_path / "m.arpa.gz"
    for damaged in (gzip.compress(SMALL.encode())[:-20], gzip.compress(SMALL.encode())[:30]):
        zipped.write_bytes(damaged)
        with pytest.raises(ModelFileError, match=r"m.arpa.gz cannot be read"):
            load(zipped)
    zipped.write_bytes(b"not gzipped")
    with pytest.raises(ModelFileError, match=r"m.arpa.gz is not an ARPA file"):
        load(zipped)


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    for name, content in (
        ("lm", SMALL.encode()),
        ("lm.gz", gzip.compress(SMALL.encode())),
        ("plain.arpa.gz", SMALL.encode()),
        ("comment.txt", b"made by a test\n\n" + SMALL.encode()),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        assert load(path).order == read_arpa(path).model.order


@pytest.mark.parametrize("space", ["\u00a0", "\u3000", "\u2028", "\u0085", "\x1c", "\u2003"])
@pytest.mark.parametrize("saved", [False, True])
def test_words_may_contain_other_spaces(tmp_path: Path, space: str, saved: bool) -> None:
    word = f"b{space}c"
    model = load(written(SMALL.replace("b", word), tmp_path))
    if saved:
        model.save(tmp_path / "m.safetensors")
        model = load(tmp_path / "m.safetensors")
    plain = log10_probs(read_arpa(written(SMALL, tmp_path)), "a b")
    assert log10_probs(model, f"a {word}") == pytest.approx(plain)
    (text := tmp_path / "text.txt").write_text(f"a {word}\n", encoding="utf-8", newline="")
    assert model.evaluate(text).nll_nats == pytest.approx(-sum(plain) * math.log(10))
    assert model.evaluate(text).unknown_tokens == 0
    assert [tuple(pair) for pair in token_offsets(model.tokenizer, f"a {word}\n").tolist()] == [
        (0, 1),
        (2, 5),
        (5, 6),
    ]
    assert kenlm_compat.Model(tmp_path / "model.arpa").score("a b") == pytest.approx(sum(plain))


def test_a_model_that_splits_differently_can_be_mixed_unless_it_matters(tmp_path: Path) -> None:
    spoken = TextModel(*_parts(read_arpa(written(SMALL, tmp_path)), make_tokenizer("word")))
    elman.mix({"a": load(tmp_path / "model.arpa"), "b": spoken}, ["a b"])
    other = read_arpa(written(SMALL.replace("b", "b\u00a0c"), tmp_path))
    unicode = TextModel(*_parts(other, make_tokenizer("word")))
    with pytest.raises(
        ModelFileError, match=r"whitespace, such as U\+00A0, at which only one of them splits"
    ):
        elman.mix({"a": load(tmp_path / "model.arpa"), "b": unicode}, ["a"])


def test_both_ways_to_split_have_ids_of_their_own_in_the_cache(tmp_path: Path) -> None:
    (text := tmp_path / "text.txt").write_text("a b\u00a0a\n" * 3, encoding="utf-8")
    words = read_arpa(written(SMALL, tmp_path)).vocabulary
    sizes = [
        encode_corpus(
            [text], make_tokenizer("word", whitespace=kind), cache=tmp_path, vocabulary=words
        ).tokens
        for kind in ("unicode", "ascii", "unicode")
    ]
    assert sizes == [12, 9, 12]


def test_texts_that_models_split_differently_are_not_ranked(tmp_path: Path) -> None:
    model = load(written(SMALL, tmp_path))
    unicode = TextModel(*_parts(model, make_tokenizer("word")))
    for line, by in (("a b a", "perplexity"), ("a b\u00a0a", None)):
        (text := tmp_path / "text.txt").write_text(f"{line}\n" * 3, encoding="utf-8")
        found = elman.compare({"ascii": model, "unicode": unicode}, text)
        assert found.ranking.by == by
    assert "other than ASCII's" in found.ranking.why


def _parts(model: TokenizedModel, tokenizer: Tokenizer) -> tuple[LanguageModel, Tokenizer, Vocabulary]:
    return model.model, tokenizer, model.vocabulary


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("m.lm", lambda content: content),
        ("m.lm.gz", gzip.compress),
        ("m.bz2", bz2.compress),
        ("m.lm.xz", lzma.compress),
        ("bom.txt", lambda content: b"\xef\xbb\xbf" + content),
        ("bom.gz", lambda content: gzip.compress(b"\xef\xbb\xbf" + content)),
        ("comment", lambda content: b"# made by hand\n\\note\n\n" + content),
        ("crlf", lambda content: b"\r\n" + content.replace(b"\n", b"\r\n")),
    ],
)
def test_it_is_found_by_its_content(tmp_path: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    (tmp_path / name).write_bytes(change(SMALL.encode()))
    expected = log10_probs(read_arpa(written(SMALL, tmp_path)), "a b")
    assert log10_probs(load(tmp_path / name), "a b") == expected
    assert log10_probs(elman.import_model(tmp_path / name), "a b") == expected


@pytest.mark.parametrize("encoding", ["cp949", "utf-16", "euc-kr"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "m.lm").write_bytes(gzip.compress(SMALL.replace("b", "\ub098").encode(encoding)))
    for read in (load, elman.import_model):
        model = read(tmp_path / "m.lm", encoding=encoding)
        assert log10_probs(model, "a \ub098") == log10_probs(read_arpa(written(SMALL, tmp_path)), "a b")
    with pytest.raises(ElmanError):
        elman.import_model(tmp_path / "m.lm")
    with pytest.raises(ConfigError, match="unknown `encoding` 'klingon'"):
        load(tmp_path / "m.lm", encoding="klingon")


def test_an_encoding_that_was_not_given_is_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "m.arpa").write_bytes(SMALL.replace("b", "\ub098").encode("cp949"))
    with pytest.raises(
        ModelFileError, match=r"line 12: .* is not UTF-8; name the file's encoding: `import_model"
    ):
        load(tmp_path / "m.arpa")


@pytest.mark.parametrize("suffix", [".arpa.gz", ".arpa.bz2", ".arpa.xz"])
def test_compressed_files_are_written(tmp_path: Path, suffix: str) -> None:
    model = load(written(SMALL, tmp_path))
    for name in ("one", "two"):
        model.export(tmp_path / f"{name}{suffix}")
    one = (tmp_path / f"one{suffix}").read_bytes()
    assert one == (tmp_path / f"two{suffix}").read_bytes()
    assert not one.startswith(b"\\data")
    assert log10_probs(load(tmp_path / f"one{suffix}"), "a b") == pytest.approx(log10_probs(model, "a b"))


def test_a_binary_file_of_kenlm_is_named(tmp_path: Path) -> None:
    for name in ("m.binary", "m.arpa", "m.safetensors"):
        (tmp_path / name).write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0" + bytes(100))
        for read in (load, elman.import_model):
            with pytest.raises(ModelFileError, match=r"is a binary file of KenLM.*give the ARPA file"):
                read(tmp_path / name)


@pytest.mark.parametrize("number", ["1_0", "-1_0", "0x1", "1e999", "9" * 5000, "+nan", "\uff11"])
def test_numbers_are_numbers(tmp_path: Path, number: str) -> None:
    with pytest.raises(
        ModelFileError, match="line 12: the log10 of a backoff weight must be a number of at most 99"
    ):
        read_arpa(written(SMALL.replace("b\t0", f"b\t{number}"), tmp_path))
    with pytest.raises(ModelFileError, match="line 3: expected"):
        read_arpa(written(SMALL.replace("ngram 1=5", f"ngram 1={number}9x"), tmp_path))


def test_models_that_the_format_cannot_represent_are_refused(tmp_path: Path) -> None:
    words = sentence_model()
    _, ids = words.encode(STORY)
    stream = NgramModel.train(ids, len(words.vocabulary), 2)
    odd = sentence_model("a <s> b\n")
    for model, message in (
        (text_model(), "only n-gram models can be written"),
        (
            TextModel(stream, words.tokenizer, words.vocabulary),
            "this one's contexts cross the ends of lines",
        ),
        (
            TextModel(words.model, text_model("char").tokenizer, words.vocabulary),
            "this is a model of characters",
        ),
        (odd, "contains the word <s> or </s>"),
    ):
        with pytest.raises(ModelFileError, match=message):
            write_arpa(tmp_path / "m.arpa", model)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written("older", tmp_path)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    model = sentence_model()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelFileError, match=r"cannot write .* No space left"):
        write_arpa(path, model)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]
