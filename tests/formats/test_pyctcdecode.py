"""The beam search decoder of pyctcdecode accepts our models as KenLM's."""

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from elman import kenlm_compat
from elman.formats.arpa_writer import write_arpa
from support.ngrams import sentence_model
from support.tiny import text_model

pyctcdecode = pytest.importorskip("pyctcdecode", reason="needs the package pyctcdecode")

TEXT = "the cat sat on the mat\nthe rat sat on the hat\nthe mat\n"
LETTERS = ["", " ", *"acehmnorst"]  # the first is the blank of CTC
FIRST = "crmhs"  # the letters that the sound leaves open
CANDIDATES = [f"the {a}at sat on the {b}at" for a, b in product(FIRST, FIRST)]


def heard(likely: float = 0.0) -> NDArray[np.float32]:
    """ln P of every letter at every frame (T, L): two letters could be any of FIRST, ``h`` the ``likely`` one."""
    frames = []
    for letter in "the ?at sat on the ?at":
        probs = np.full(len(LETTERS), 1e-6)
        if letter == "?":
            for choice in FIRST:
                probs[LETTERS.index(choice)] = math.exp(likely if choice == "h" else 0)
        else:
            probs[LETTERS.index(letter)] = 1
        frames.append(np.log(probs / probs.sum()))
    return np.array(frames, np.float32)


def decoder(model: Any, monkeypatch: pytest.MonkeyPatch, module: Any = kenlm_compat, **options: Any) -> Any:
    monkeypatch.setattr(pyctcdecode.language_model, "kenlm", module, raising=False)
    words = sorted(set(TEXT.split()))
    language_model = pyctcdecode.LanguageModel(model, words, **{"alpha": 1.0, "beta": 0.0} | options)
    return pyctcdecode.BeamSearchDecoderCTC(pyctcdecode.Alphabet.build_alphabet(LETTERS), language_model)


@pytest.mark.parametrize(
    "made",
    [
        lambda: sentence_model(TEXT),
        lambda: text_model(text=TEXT, weight_scale=2.0),
        lambda: text_model(text=TEXT, cell="lstm", seed=3, weight_scale=2.0),
        lambda: text_model("char", text=TEXT, cell="gru", weight_scale=1.0),
    ],
)
@pytest.mark.parametrize("boundary", [True, False])
def test_of_what_sounds_alike_it_writes_the_most_probable(
    made: Any, boundary: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = made()
    found = decoder(kenlm_compat.Model(given), monkeypatch, score_boundary=boundary).decode(heard())
    scores = [given.score(sentence, bos=boundary, eos=boundary) for sentence in CANDIDATES]
    assert found == CANDIDATES[int(np.argmax(scores))]


def test_the_model_outweighs_the_sound_as_far_as_its_weight_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = kenlm_compat.Model(sentence_model(TEXT))
    sound = heard(likely=0.1)
    assert decoder(model, monkeypatch, alpha=0.0).decode(sound) == "the hat sat on the hat"
    assert decoder(model, monkeypatch, alpha=1.0).decode(sound) == "the cat sat on the mat"


def test_decoding_gives_the_same_results_as_with_kenlm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kenlm = pytest.importorskip("kenlm", reason="needs the package ufal-kenlm")
    write_arpa(tmp_path / "m.arpa", sentence_model(TEXT))
    found = [
        decoder(module.Model(str(tmp_path / "m.arpa")), monkeypatch, module).decode_beams(heard(0.3))
        for module in (kenlm_compat, kenlm)
    ]
    ours, theirs = ([(beam[0], beam[-1]) for beam in beams] for beams in found)
    assert [text for text, _ in ours[:5]] == [text for text, _ in theirs[:5]]
    assert [score for _, score in ours[:5]] == pytest.approx([score for _, score in theirs[:5]], abs=1e-4)
