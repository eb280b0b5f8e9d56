"""The format of SRILM's ``ngram -ppl FILE -debug 2``: each line with its words' probabilities and totals."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from elman.evaluation.full_scores import FullScore, full_scores
from elman.evaluation.perplexity import perplexity_of
from elman.evaluation.scored_lines import visible
from elman.models.tokenized import TokenizedModel, order_of

BEGINNING, END, UNKNOWN = "<s>", "</s>", "<unk>"  # as SRILM writes them


def srilm_report(text_model: TokenizedModel, lines: Iterable[str], name: str) -> Iterator[str]:
    """Yield the report on some lines, a paragraph a line, and the totals of the file ``name``.

    If ``lines`` raises an exception, the totals of the lines before it are yielded first.
    """
    whole = Totals()
    try:
        for line in lines:
            text, totals = _paragraph(text_model, line)
            whole.add(totals)
            yield text
    except GeneratorExit:
        raise
    except BaseException:
        yield f"file {name}: {whole.text()}"
        raise
    yield f"file {name}: {whole.text()}"


def _paragraph(text_model: TokenizedModel, line: str) -> tuple[str, "Totals"]:
    """Return the report on a line, which ends in an empty line, and its totals."""
    rows, totals = [line], Totals(sentences=1)
    before = [BEGINNING] if text_model.start_id is not None else []
    tokens = text_model.encode_line(line)[0]
    for token, score in zip(tokens, full_scores(text_model, line), strict=True):
        word = _word(text_model, token, score.unknown)
        context = before[-1] + (" ..." if len(before) > 1 else " ") if before else ""
        rows.append(f"\tp( {word} | {context}) \t= {_outcome(text_model, score)}")
        totals.add(_totals_of(score, word == END))
        before = [*before[-1:], word]
    return "\n".join([*rows, totals.text(), ""]), totals


def _word(text_model: TokenizedModel, token: str, unknown: bool) -> str:
    """Return a token as a word of the format, which separates words by spaces."""
    if unknown:
        return UNKNOWN
    if token == text_model.vocabulary.eos:
        return END
    shown = visible(text_model.tokenizer.readable(token), text_model.unit == "byte")
    return shown.replace(" ", r"\x20")


def _outcome(text_model: TokenizedModel, score: FullScore) -> str:
    """Return the source of a probability, the probability, and its log10."""
    if math.isinf(score.log10_prob):
        return "[OOV] 0 [ -inf ]"
    source = "rnn" if order_of(text_model.model) is None else f"{score.ngram_length}gram"
    return f"[{source}] {10**score.log10_prob:.7g} [ {score.log10_prob:.7g} ]"


@dataclass
class Totals:
    """Sums over sentences as SRILM defines them: words of probability 0 are counted, but left out of the sums."""

    sentences: int = 0
    words: int = 0  # not counting ends of sentences
    oovs: int = 0  # words that are not in a closed vocabulary
    zeroprobs: int = 0  # other words of probability 0
    ends: int = 0  # ends of sentences that were scored
    log10_prob: float = 0.0

    def add(self, other: "Totals") -> None:
        """Add the totals of other sentences."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def text(self) -> str:
        """Return SRILM's summary, two lines."""
        words = self.words - self.oovs - self.zeroprobs
        return (
            f"{self.sentences} sentences, {self.words} words, {self.oovs} OOVs\n"
            f"{self.zeroprobs} zeroprobs, logprob= {self.log10_prob:.7g} "
            f"ppl= {self._perplexity(words + self.ends)} ppl1= {self._perplexity(words)}"
        )

    def _perplexity(self, tokens: int) -> str:
        if tokens <= 0:
            return "undefined"
        return f"{perplexity_of(-self.log10_prob * math.log(10) / tokens):.7g}"


def _totals_of(score: FullScore, is_end: bool) -> Totals:
    """Return the totals for one token."""
    possible = not math.isinf(score.log10_prob)
    return Totals(
        words=int(not is_end),
        oovs=int(not possible and score.unknown),
        zeroprobs=int(not possible and not score.unknown),
        ends=int(is_end),
        log10_prob=score.log10_prob if possible else 0.0,
    )
