"""KenLM reads what we write, and scores what we score."""

import copy
from pathlib import Path
from typing import Any

import pytest

from elman import kenlm_compat
from elman.evaluation.line_scores import score_line
from elman.formats.arpa_writer import write_arpa
from elman.models.ngram.smoothing import kneser_ney, witten_bell
from support.ngrams import sentence_model
from support.tiny import STORY

kenlm = pytest.importorskip("kenlm", reason="needs the package ufal-kenlm")

LINES = [
    *STORY.splitlines(),
    "",
    "tom",
    "tom tom tom",
    "hi to mary .",
    "mary was watching the room .",
    "nobody was in the cellar",
    "<unk> was in <unk> .",
]


@pytest.mark.parametrize("smoothing", [kneser_ney, witten_bell])
@pytest.mark.parametrize("order", [2, 3, 5])
def test_sentences_have_the_same_log10_probability(tmp_path: Path, smoothing: Any, order: int) -> None:
    model = sentence_model(order=order, smoothing=smoothing, min_count=2)
    write_arpa(tmp_path / "m.arpa", model)
    other = kenlm.Model(str(tmp_path / "m.arpa"))
    assert other.order == order
    for line in LINES:
        expected = score_line(model, line).log10_prob
        assert other.score(line, bos=True, eos=True) == pytest.approx(expected, abs=1e-4)


def test_each_token_has_the_same_log10_probability(tmp_path: Path) -> None:
    model = sentence_model(order=4, min_count=2)
    write_arpa(tmp_path / "m.arpa", model)
    other = kenlm.Model(str(tmp_path / "m.arpa"))
    for line in LINES:
        _, ids = model.encode_line(line)
        ours, _ = model.model.target_log_probs(ids[None], model.model.start())
        theirs = [log10_prob for log10_prob, _, _ in other.full_scores(line, bos=True, eos=True)]
        assert list(ours[0] / 2.302585092994046) == pytest.approx(theirs, abs=1e-5)


@pytest.fixture
def both(tmp_path: Path) -> tuple[Any, Any]:
    """KenLM's model of an ARPA file, and ours in its place."""
    write_arpa(tmp_path / "m.arpa", sentence_model(order=3, min_count=2))
    return kenlm.Model(str(tmp_path / "m.arpa")), kenlm_compat.Model(str(tmp_path / "m.arpa"))


@pytest.mark.parametrize("bos", [True, False])
@pytest.mark.parametrize("eos", [True, False])
def test_a_model_in_its_place_gives_the_same_full_scores(both: Any, bos: bool, eos: bool) -> None:
    theirs, ours = both
    assert (ours.path, ours.order) == (theirs.path, theirs.order)
    for line in LINES:
        found = list(ours.full_scores(line, bos=bos, eos=eos))
        expected = list(theirs.full_scores(line, bos=bos, eos=eos))
        assert [score[1:] for score in found] == [score[1:] for score in expected]
        assert [score[0] for score in found] == pytest.approx([score[0] for score in expected], abs=1e-5)
        assert ours.score(line, bos=bos, eos=eos) == pytest.approx(theirs.score(line, bos, eos), abs=1e-4)
        assert ours.perplexity(line) == pytest.approx(theirs.perplexity(line), rel=1e-4)


@pytest.mark.parametrize("begin", ["BeginSentenceWrite", "NullContextWrite"])
def test_a_model_in_its_place_gives_the_same_base_scores(both: Any, begin: str) -> None:
    for line in LINES:
        found = [
            base_scores(module, model, begin, line)
            for module, model in zip((kenlm, kenlm_compat), both, strict=True)
        ]
        assert found[1] == pytest.approx(found[0], abs=1e-5)


def base_scores(module: Any, model: Any, begin: str, line: str) -> list[float]:
    state, after = module.State(), module.State()
    getattr(model, begin)(state)
    numbers = []
    for word in [*line.split(), "</s>"]:
        full = model.BaseFullScore(state, word, after)
        assert full.log_prob == pytest.approx(model.BaseScore(copy.copy(state), word, after))
        numbers += [full.log_prob, full.ngram_length, full.oov]
        state, after = after, state
    return numbers


def test_a_model_in_its_place_knows_the_same_words(both: Any) -> None:
    for word in ("tom", "<unk>", "nobody", "</s>", "<s>"):
        assert (word in both[1]) == (word in both[0])


def test_the_module_has_the_names_of_kenlm(both: Any) -> None:
    for name in kenlm_compat.__all__:
        assert hasattr(kenlm, name)
    for name in ("LoadMethod", "ARPALoadComplain"):
        for value in (each for each in dir(getattr(kenlm, name)) if each.isupper()):
            assert getattr(getattr(kenlm_compat, name), value) == getattr(getattr(kenlm, name), value)
    for name in ("load_method", "show_progress", "arpa_complain"):
        assert getattr(kenlm_compat.Config(), name) == getattr(kenlm.Config(), name)
    assert repr(both[1]) == repr(both[0])
