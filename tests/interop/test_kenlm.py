"""KenLM reads what we write, and scores what we score."""

from pathlib import Path
from typing import Any

import pytest

from elman.evaluation.scoring import score_line
from elman.interop.arpa_writer import write_arpa
from elman.models.kneser_ney import kneser_ney
from elman.models.ngram_smoothing import witten_bell
from ngrams import sentence_model
from tiny import STORY

kenlm = pytest.importorskip("kenlm")

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
