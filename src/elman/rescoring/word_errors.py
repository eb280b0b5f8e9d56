"""Word errors: the substitutions, deletions and insertions that make a candidate the reference."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from elman.errors import MissingExtra, TextError
from elman.rescoring.casing import Case, in_case
from elman.rescoring.nbest import Utterance
from elman.rescoring.weights import padded


def word_errors(reference: str, candidates: Sequence[str]) -> NDArray[np.int64]:
    """Return the least number of word edits (K,) from each candidate to the reference, as jiwer counts them.

    Raises:
        MissingExtra: jiwer is not installed.
    """
    try:
        from jiwer import process_words
    except ImportError as error:
        raise MissingExtra("jiwer", "rescore") from error
    words = reference.split()
    if not words:  # of which jiwer makes no alignment
        return np.array([len(text.split()) for text in candidates])
    found = process_words(
        [" ".join(words)] * len(candidates), [" ".join(text.split()) for text in candidates]
    )
    edits = [
        sum(
            max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
            for chunk in chunks
            if chunk.type != "equal"
        )
        for chunks in found.alignments
    ]
    return np.array(edits)


def error_table(
    utterances: Sequence[Utterance], references: Mapping[str, str], case: Case
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the word errors (U, K) of all candidates, and the number (U,) of words of the references.

    Raises:
        TextError: an utterance has no reference. MissingExtra: jiwer is not installed.
    """
    missing = [utterance.name for utterance in utterances if utterance.name not in references]
    if missing:
        raise TextError(
            f"utterances without a reference: {len(missing):,} of {len(utterances):,}, the first is {missing[0]}"
        )
    errors = []
    for utterance in utterances:
        texts = [in_case(candidate.text, case) for candidate in utterance.candidates]
        errors.append(word_errors(in_case(references[utterance.name], case), texts))
    lengths = np.array([len(references[utterance.name].split()) for utterance in utterances])
    return padded(errors, np.inf), lengths
