"""The probabilities of lines in the layout of SRILM's `ngram -ppl FILE -debug 2`, which other programs read."""

import math
from dataclasses import dataclass

import click

from elman.cli.score_tokens import readable, visible
from elman.evaluation.perplexity import perplexity_of
from elman.models.text_model import FullScore, TextModel
from elman.threads import suited_threads

BEGINNING, END, UNKNOWN = "<s>", "</s>", "<unk>"


@dataclass
class Totals:
    """Sums over sentences, as SRILM defines them: what has probability 0 is counted, and left out of the others."""

    sentences: int = 0
    words: int = 0  # without the ends of sentences
    oovs: int = 0  # words that a closed vocabulary does not have
    zeroprobs: int = 0  # others of probability 0
    ends: int = 0  # that were scored
    log10_prob: float = 0.0

    def add(self, other: "Totals") -> None:
        """Add the sums over other sentences."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def text(self) -> str:
        """Return the two lines of a summary."""
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


class SrilmTable:
    """Prints every line, its words' probabilities and their sums; and at the end the sums of all lines."""

    def __init__(self, text_model: TextModel, name: str) -> None:
        self._text_model = text_model
        self._name = name
        self._totals = Totals()

    def begin(self) -> None:
        """Print nothing: the layout has no head."""

    def lines(self, lines: list[str]) -> int:
        """Print lines; return 0: those that are impossible are among the OOVs."""
        with suited_threads(0):
            for line in lines:
                self._line(line)
        return 0

    def end(self) -> None:
        """Print the sums of all lines."""
        click.echo(f"file {self._name}: {self._totals.text()}")

    def _line(self, line: str) -> None:
        click.echo(line)
        found = Totals(sentences=1)
        before = [BEGINNING] if self._text_model.start_id is not None else []
        tokens = self._text_model.encode_line(line)[0]
        for token, score in zip(tokens, self._text_model.full_scores(line), strict=True):
            word = self._word(token, score.unknown)
            context = before[-1] + (" ..." if len(before) > 1 else " ") if before else ""
            click.echo(f"\tp( {word} | {context}) \t= {self._outcome(score)}")
            found.add(_counted(score, word == END))
            before = [*before[-1:], word]
        click.echo(f"{found.text()}\n")
        self._totals.add(found)

    def _word(self, token: str, unknown: bool) -> str:
        """Return a token as a word of the layout, in which blanks stand between words."""
        if unknown:
            return UNKNOWN
        if token == self._text_model.vocabulary.eos:
            return END
        shown = visible(readable(self._text_model, token), self._text_model.unit == "byte")
        return shown.replace(" ", r"\x20")

    def _outcome(self, score: FullScore) -> str:
        """Return what the probability was taken from, the probability, and its decimal logarithm."""
        if math.isinf(score.log10_prob):
            return "[OOV] 0 [ -inf ]"
        source = "rnn" if self._text_model.order is None else f"{score.ngram_length}gram"
        return f"[{source}] {10**score.log10_prob:.7g} [ {score.log10_prob:.7g} ]"


def _counted(score: FullScore, is_end: bool) -> Totals:
    """Return the sums over one token."""
    possible = not math.isinf(score.log10_prob)
    return Totals(
        words=int(not is_end),
        oovs=int(not possible and score.unknown),
        zeroprobs=int(not possible and not score.unknown),
        ends=int(is_end),
        log10_prob=score.log10_prob if possible else 0.0,
    )
