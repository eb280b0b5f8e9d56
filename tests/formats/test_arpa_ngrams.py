"""The n-grams of ARPA files by compiled code and as plain Python, against the reading of line by line and NumPy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from elman.formats import arpa_ngrams, arpa_reader
from elman.formats.arpa_reader import read_arpa
from elman.formats.arpa_writer import write_arpa
from elman.models.ngram.levels import Level
from support.loops import CAN_COMPILE, plain, switch_jit
from support.ngrams import sentence_model

FORMS: dict[str, Any] = {"plain": plain(arpa_ngrams)}
if CAN_COMPILE:
    FORMS["compiled"] = arpa_ngrams
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


@pytest.fixture(autouse=True)
def _integers_that_wrap() -> Iterator[None]:
    """Plain Python warns when the hash exceeds 64 bits, compiled code does not."""
    with np.errstate(over="ignore"):
        yield


def decimal(form: Any, text: str) -> float:
    data = np.frombuffer(bytearray(f"a {text} b".encode()), np.uint8)
    return float(form.decimal(data, 2, 2 + len(text.encode())))


@every_form
@given(number=st.floats(-99, 99), digits=st.integers(1, 12), exponent=st.booleans())
def test_numbers_are_those_of_float(form: Any, number: float, digits: int, exponent: bool) -> None:
    for text in (f"{number:.{digits}g}", f"{number:+.{digits}{'e' if exponent else 'f'}}"):
        found = decimal(form, text)
        assert found == float(text) or np.isnan(found)
    assert decimal(form, f"{number:.9g}") == float(f"{number:.9g}") or abs(number) < 1e-13


@every_form
@pytest.mark.parametrize(
    "text", ["-", "+", ".", "e5", "1e", "1e+", "1.2.3", "1x", "inf", "nan", "0x1", "1e-999", "1" * 17]
)
def test_what_is_not_certain_is_nan(form: Any, text: str) -> None:
    assert np.isnan(decimal(form, text))


@every_form
def test_ngrams_are_found_as_in_the_sorted_table(form: Any) -> None:
    rng = np.random.default_rng(0)
    keys = np.unique(rng.integers(0, 12 * 30, 80))
    args = keys, rng.random(len(keys)), rng.random(12), 30
    contexts, ids = rng.integers(-1, 12, (40, 3)), rng.integers(-1, 30, (40, 3))
    found = form.IndexedLevel(*args).find(contexts, ids)
    assert_array_equal(found, Level(*args).find(contexts, ids))
    assert (found >= 0).any()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n\\3-grams:", "\n \n\\3-grams:"),  # white space
        ("\t<s> ", " \t <s>  "),
        ("\n\\2-grams:\n", "\n\\2-grams:\n\n \n"),
        ("-0.", "-.0"),  # other numbers
        ("-0.", "-00.00000000000000000000000"),
        ("-0.", "-inf \n-0."),  # damage
    ],
)
def test_files_are_read_as_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    path = tmp_path / "small.arpa"
    write_arpa(path, sentence_model())
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    monkeypatch.setattr(arpa_reader, "_WORTH_COMPILING", 0)
    found: list[Any] = []
    for on in (False, True):
        switch_jit(monkeypatch, on)
        try:
            found.append(read_arpa(path).model.to_arrays())
        except Exception as error:
            found.append(str(error))
    if isinstance(found[0], str):
        assert found[0] == found[1]
    else:
        assert found[0].keys() == found[1].keys()
        for name, array in found[0].items():
            assert_array_equal(array, found[1][name])
