"""Choose the best of a speech recogniser's candidates with a language model, and measure word error rates."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

import numpy as np

from elman.errors import ConfigError, RunError
from elman.evaluation.adaptation import with_cache
from elman.evaluation.spelling import CASES, Case
from elman.evaluation.unknown_tokens import MOST, warn_of_unknown
from elman.files import check_output_file
from elman.rescoring.lm_scores import Unknown
from elman.rescoring.nbest import Row, Utterance, collect, read_references
from elman.rescoring.nbest_formats import FORMATS, Format, read_nbest
from elman.rescoring.rescored import Rescored
from elman.rescoring.rescorer import SEPARATOR, Rescorer, first_half, speaker_of
from elman.rescoring.tuning import Weights
from elman.rescoring.unknown_words import Lexicon, read_lexicon, wordfreq_lexicon
from elman.rescoring.word_errors import Measured, Tune, TuningExperiment, error_table, word_errors
from elman.text.sources import Text, read_lines, text_name
from elman.text_model import Model, as_model

NBest: TypeAlias = Text | Mapping[str, Sequence[str] | Sequence[tuple[float, str]]]
MOST_SPELLED = 0.5  # of the words may be unknown where each is scored by its spelling
WRONG_CASE = 0.9  # word error rate of the first candidates from which a difference in case is looked for
log = logging.getLogger(__name__)


def rescore(
    model: Model,
    nbest: NBest,
    *,
    format: Format = "auto",
    others: Model | Iterable[Model] = (),
    ref: Text | Mapping[str, str] | None = None,
    tune: Tune = "both",
    lm_weight: float | None = None,
    beta: float | None = None,
    carry: bool = False,
    separator: str = SEPARATOR,
    cache: int | None = None,
    neural_cache: int | None = None,
    theta: float | None = None,
    cache_weight: float | None = None,
    case: Case | None = None,
    unknown: Unknown = "spelled",
    lexicon: Text | Mapping[str, float] | None = None,
    resample: Literal["utterance", "speaker"] = "utterance",
    seed: int = 0,
    output: str | Path | None = None,
    write: Literal["best", "all", "kaldi"] = "best",
    encoding: str = "utf-8",
) -> Rescored:
    """Choose the best candidate of each utterance: that with the highest score + λ·ln P(text) + β·words.

    With ``ref``, λ and β are tuned on one half of the utterances, and word error rates are measured on the other; the
    halves have no speaker in common. Without ``ref``, give ``lm_weight``.

    Args:
        model: a model or its path.
        nbest: the candidates. A table as a file, stream or lines (utterance, rank, score, text, with tabs between; or
            utterance, text; or utterance, score, text), a Kaldi folder, or in memory: utterance → its candidates, best
            first, as texts or as (score, text). Scores are natural logarithms, the higher the better.
        format: of the candidates: "tsv", "kaldi", or that of another program: "moses", "srilm", "espnet" or "json" (see
            `elman.rescoring.nbest_formats`); "auto" recognises it, except for SRILM's lists without a header.
        others: further models of any unit and vocabulary: ln P is the mean over all models.
        ref: the reference transcripts: lines ``UTTERANCE words``, or utterance → words.
        tune: the half to tune λ and β on, "first" or "second"; "both" tunes on each and measures on the other.
        lm_weight: λ, a fixed weight of the model.
        beta: β, a fixed bonus in nats per word, 0 by default.
        carry: read each utterance after the best candidates of the speaker's earlier ones.
        separator: the speaker is the part of an utterance's name before this; utterances are ordered by name.
        cache: mix in the frequencies of words among so many words read; like the next three, it needs ``carry``.
        neural_cache: mix in the last so many words, weighted by how similar the hidden states are.
        theta: sharpness of the neural cache.
        cache_weight: weight of the cache, from 0 to 1.
        case: the case of candidates and references, "lower", "upper" or "asis"; by default that of the vocabulary.
        unknown: P of an unknown word: "spelled", P(<unk>) times that of its spelling; or "plain", P(<unk>).
        lexicon: words, or word → frequency, in a file or in memory, or "wordfreq" or "wordfreq:LANGUAGE": an unknown
            word in it is more probable than one of similar spelling that is not.
        resample: what the bootstrap of the confidence interval draws.
        seed: of the confidence interval.
        output: the file, or Kaldi folder, to write.
        write: what to write: the "best" candidates, "all" with their scores, or all as a folder for "kaldi".
        encoding: of the files.

    Raises:
        ConfigError: the arguments contradict one another.
        TextError: a file cannot be read or is malformed, or an utterance has no reference.
        RunError: the output cannot be written.
        VocabularyError: a model has no token for the end of a line.
        MissingExtra: jiwer, which counts word errors, is not installed.
    """
    weights = _given_weights(lm_weight, beta, ref is not None)
    _check(locals())
    utterances = _read_nbest(nbest, format, encoding)
    references = {} if ref is None else _read_references(ref, encoding)
    given = [model, *([others] if not _several(others) else cast(Iterable[Model], others))]
    first, *further = (with_cache(as_model(each), cache, neural_cache, theta, cache_weight) for each in given)
    known = None if lexicon is None else _lexicon(lexicon, encoding)
    rescorer = Rescorer(first, utterances, case, unknown, further, known)
    if ref is None:
        assert weights is not None  # checked by `_given_weights`
        table = rescorer.carried_table(weights, separator) if carry else rescorer.table()
        found = Rescored(utterances, table, table.totals(weights), weights)
        _log_summary(rescorer)
    else:
        rng = np.random.default_rng(seed)
        measured = _measured(rescorer, references, weights, tune, carry, separator, resample, rng)
        found = Rescored(utterances, measured.table, measured.totals, measured.final, measured.results)
        _log_summary(rescorer)
        if left := len(references.keys() - {utterance.name for utterance in utterances}):
            log.info(f"references without candidates, ignored: {left:,}")
        _warn(rescorer, references, found, tuned=weights is None)
    if output is not None:
        found.save(output, write)
    return found


def _several(others: Any) -> bool:
    return not isinstance(others, (str, os.PathLike)) and hasattr(others, "__iter__")


def _given_weights(lm_weight: float | None, beta: float | None, with_ref: bool) -> Weights | None:
    """Return the weights that are given; None where they are to be tuned."""
    if lm_weight is None:
        if beta is not None:
            raise ConfigError("`beta` needs `lm_weight`; give both, or neither to tune them on `ref`")
        if not with_ref:
            raise ConfigError(
                "name the reference transcripts to tune λ and β on: `ref='ref.txt'`; or give `lm_weight=0.2` `beta=0`"
            )
        return None
    weights = Weights(lm_weight, beta or 0.0)
    if not np.isfinite([weights.lm, weights.words]).all():
        raise ConfigError(
            f"`lm_weight` and `beta` must be finite numbers, got {weights.lm} and {weights.words}"
        )
    return weights


def _check(given: Mapping[str, Any]) -> None:
    """Raise for arguments that contradict one another, or an output that could not be written at the end."""
    for name, allowed in (
        ("format", FORMATS),
        ("tune", ("both", "first", "second")),
        ("case", (None, *CASES)),
        ("unknown", ("spelled", "plain")),
        ("resample", ("utterance", "speaker")),
        ("write", ("best", "all", "kaldi")),
    ):
        if given[name] not in allowed:
            raise ConfigError(f"`{name}` must be one of {', '.join(map(str, allowed))}; got {given[name]!r}")
    caches = ("cache", "neural_cache", "theta", "cache_weight")
    if not given["carry"] and any(given[name] is not None for name in caches):
        raise ConfigError("a cache needs earlier utterances to remember; add `carry=True`")
    if given["lexicon"] is not None and given["unknown"] == "plain":
        raise ConfigError(
            "`unknown='plain'` treats all unknown words alike, so `lexicon` has no effect; leave one out"
        )
    output = given["output"]
    if output is not None and given["write"] == "kaldi" and Path(output).exists():
        raise RunError(f"{output} already exists; name a new folder for Kaldi's files")
    check_output_file(output)


def _read_nbest(nbest: NBest, format: Format, encoding: str) -> list[Utterance]:
    if isinstance(nbest, Mapping):
        return collect(_rows(nbest), "the n-best list")
    return read_nbest(nbest, format, encoding)


def _rows(nbest: Mapping[str, Sequence[Any]]) -> Iterable[Row]:
    """Yield the candidates of an n-best list in memory."""
    for name, candidates in nbest.items():
        for rank, candidate in enumerate(candidates, 1):
            score, text = (0.0, candidate) if isinstance(candidate, str) else candidate
            if not isinstance(text, str) or not np.isfinite(score):
                raise ConfigError(
                    f"utterance {name}: candidate {rank} must be a text or (score, text), got {candidate!r}"
                )
            yield Row(f"utterance {name}", name, rank, float(score), " ".join(text.split()))


def _read_references(ref: Text | Mapping[str, str], encoding: str) -> Mapping[str, str]:
    return ref if isinstance(ref, Mapping) else read_references(read_lines(ref, encoding), text_name(ref))


def _lexicon(given: Text | Mapping[str, float], encoding: str) -> Lexicon:
    if isinstance(given, Mapping):
        return Lexicon(given)
    if isinstance(given, str) and (given == "wordfreq" or given.startswith("wordfreq:")):
        return wordfreq_lexicon(given.partition(":")[2] or "en")
    return read_lexicon(read_lines(given, encoding), text_name(given))


def _measured(
    rescorer: Rescorer,
    references: Mapping[str, str],
    weights: Weights | None,
    tune: Tune,
    carry: bool,
    separator: str,
    resample: str,
    rng: np.random.Generator,
) -> Measured:
    """Measure word errors with the given weights, or with weights tuned on the other half."""
    errors, words = error_table(rescorer.utterances, references, rescorer.case or "asis")
    names = [utterance.name for utterance in rescorer.utterances]
    carried = carry and weights is not None
    judge = TuningExperiment(
        rescorer.carried_table(weights, separator) if carried and weights is not None else rescorer.table(),
        errors,
        words,
        [speaker_of(name, separator) for name in names] if resample == "speaker" else names,
        rng,
    )
    if weights is not None:
        return judge.fixed(weights)
    judge.carried = (lambda found: rescorer.carried_table(found, separator)) if carry else None
    return judge.halves(first_half(names, separator), tune)


def _log_summary(rescorer: Rescorer) -> None:
    """Log what was read, and how many words were unknown."""
    work, utterances = rescorer.work, rescorer.utterances
    candidates = sum(len(utterance.candidates) for utterance in utterances)
    log.info(
        f"{len(utterances):,} utterances, {candidates:,} candidates ({rescorer.case}): {work.steps:,} steps instead "
        f"of {work.tokens:,}, {work.saved:.1%} saved by shared prefixes"
    )
    for reader, unknown in zip(rescorer.readers, rescorer.unknown_words(), strict=True):
        unit = reader.text_model.unit
        log.info(f"unknown {unit}s in the first candidates: {unknown:,} (of {rescorer.words():,} words)")
        if unit == "word":
            most = MOST if rescorer.unknown == "plain" else MOST_SPELLED
            warn_of_unknown(reader.text_model, unknown, rescorer.words(), most=most)


def _warn(rescorer: Rescorer, references: Mapping[str, str], found: Rescored, tuned: bool) -> None:
    """Warn of results that are not the model's fault: a closed vocabulary, or letters of another case."""
    impossible = sum(int(each.impossible.sum()) for reader in rescorer.readers for each in reader.encoded)
    if (
        tuned
        and impossible
        and 0.0 in (found.weights.lm, *(r.weights.lm for r in found.results if r.weights))
    ):
        log.warning(
            f"λ was tuned to 0: {impossible:,} candidates have words that the model's closed vocabulary lacks, so "
            "their probability is 0; `train(min_count=2)` gives unknown words a probability"
        )
    *_, overall = found.results
    if rescorer.case == "asis" and overall.rate(overall.first) >= WRONG_CASE:
        pairs = [(references[u.name].lower(), u.candidates[0].text.lower()) for u in rescorer.utterances]
        errors = sum(int(word_errors(reference, [text])[0]) for reference, text in pairs)
        words = sum(len(reference.split()) for reference, _ in pairs)
        rate = overall.rate(overall.first)
        if errors < rate / 2 * words:
            log.warning(
                f"the first candidates have a word error rate of {rate:.0%}, but {errors / words:.0%} in lower case: "
                "candidates and references differ in the case of letters; add `case='lower'`"
            )
