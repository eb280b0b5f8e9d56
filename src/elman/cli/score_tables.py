"""Tables of `elman score`: lines, tokens, the least probable lines, and the format of SRILM."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import click

from elman.evaluation.line_scores import NATS, Found, LeastProbableLines, LineScore, Measure, Unit
from elman.evaluation.perplexity import perplexity_of
from elman.evaluation.surprisal import TokenReader, TokenScore
from elman.results import to_json
from elman.text.tokenizers import SubwordTokenizer
from elman.text_model import FullScore, TextModel

Scorer = Callable[[Iterable[str]], Iterator[LineScore]]


class LineTable:
    """One row per line: its log probability in nats and as log10, or in the one measure requested."""

    def __init__(
        self, text_model: TextModel, scorer: Scorer, measure: Measure | None, as_json: bool = False
    ) -> None:
        self._ends = int(text_model.vocabulary.eos_id is not None)
        self._scorer = scorer
        self._measures = [Measure("nats"), Measure("log10")] if measure is None else [measure]
        self._as_json = as_json
        self._with_characters = any(measure.per == "char" for measure in self._measures)

    def begin(self) -> None:
        """Print the column names."""
        self._print_header([])

    def lines(self, lines: list[str]) -> int:
        """Print the scores of some lines; return how many have probability 0."""
        impossible = 0
        for line, score in zip(lines, self._scorer(lines), strict=True):
            impossible += math.isinf(score.nll_nats)
            self._print({}, score, line)
        return impossible

    def end(self) -> None:
        """Print nothing: every line has been printed when it arrived."""

    def _print_header(self, before: list[str]) -> None:
        if not self._as_json:
            names = [measure.name for measure in self._measures]
            characters = ["characters"] if self._with_characters else []
            click.echo("\t".join([*before, *names, "perplexity", "tokens", *characters, "unknown", "text"]))

    def _print(self, before: dict[str, int], score: LineScore, line: str) -> None:
        row: dict[str, Any] = {**before}
        row |= {measure.name: measure.of(score, self._characters(line)) for measure in self._measures}
        row |= {"perplexity": score.perplexity, "tokens": score.tokens}
        row |= {"characters": self._characters(line)} if self._with_characters else {}
        row |= {"unknown": score.unknown, "text": line}
        if self._as_json:
            click.echo(to_json(row))
        else:
            click.echo("\t".join(f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()))

    def _characters(self, line: str) -> int:
        return len(line) + self._ends


class TopTable(LineTable):
    """The least probable lines with their line numbers, printed at the end, the least probable first."""

    def __init__(
        self, text_model: TextModel, scorer: Scorer, measure: Measure, most: int, as_json: bool = False
    ) -> None:
        super().__init__(text_model, scorer, measure, as_json)
        self._measure = measure
        self._oddest = LeastProbableLines(most)
        self._number = 0

    def begin(self) -> None:
        """Print nothing: which lines these are is known only at the end."""

    def lines(self, lines: list[str]) -> int:
        """Read some lines; return how many have probability 0."""
        impossible = 0
        for line, score in zip(lines, self._scorer(lines), strict=True):
            impossible += math.isinf(score.nll_nats)
            self._number += 1
            measure = self._measure.of(score, self._characters(line))
            self._oddest.add(Found(self._number, measure, score, line))
        return impossible

    def end(self) -> None:
        """Print the least probable lines."""
        self._print_header(["line"])
        for found in self._oddest.in_order():
            self._print({"line": found.number}, found.score, found.line)


class TokenTable:
    """One row per token: its surprisal, its rank among all tokens, and whether it is unknown."""

    def __init__(
        self, text_model: TextModel, carry: bool, unit: Unit = "bits", as_json: bool = False
    ) -> None:
        self._text_model = text_model
        self._reader = TokenReader(text_model) if carry else None
        self._unit = unit
        self._as_json = as_json
        self._number = 0

    def begin(self) -> None:
        """Print the column names."""
        if not self._as_json:
            click.echo(f"line\ttoken\tsurprisal_{self._unit}\trank\tunknown")

    def lines(self, lines: list[str]) -> int:
        """Print the tokens of some lines; return how many lines have probability 0."""
        return sum(map(self._line, lines))

    def end(self) -> None:
        """Print nothing: every token has been printed when its line arrived."""

    def _line(self, line: str) -> bool:
        """Print the tokens of a line; return whether its probability is 0."""
        self._number += 1
        impossible = False
        for score in (self._reader or TokenReader(self._text_model)).read(line):
            impossible |= math.isinf(score.surprisal_bits)
            self._print(score)
        return impossible

    def _print(self, score: TokenScore) -> None:
        token = readable(self._text_model, score.token)
        if self._as_json:
            numbers = {self._column(name): self._in_unit(name, v) for name, v in asdict(score).items()}
            click.echo(to_json({"line": self._number, **numbers, "token": token}))
        else:
            shown = visible(token, self._text_model.unit == "byte")
            surprisal = self._in_unit("surprisal_bits", score.surprisal_bits)
            click.echo(f"{self._number}\t{shown}\t{surprisal:.4f}\t{score.rank}\t{int(score.unknown)}")

    def _column(self, name: str) -> str:
        return name.replace("_bits", f"_{self._unit}")

    def _in_unit(self, name: str, value: float) -> float:
        return value * (NATS["bits"] / NATS[self._unit]) if name.endswith("_bits") else value


BEGINNING, END, UNKNOWN = "<s>", "</s>", "<unk>"  # as SRILM writes them


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


class SrilmTable:
    """SRILM's `ngram -ppl FILE -debug 2`: each line with its words' probabilities and totals, then all totals."""

    def __init__(self, text_model: TextModel, name: str) -> None:
        self._text_model = text_model
        self._name = name
        self._totals = Totals()

    def begin(self) -> None:
        """Print nothing: the format has no header."""

    def lines(self, lines: list[str]) -> int:
        """Print some lines; return 0: words of probability 0 are counted as OOVs."""
        for line in lines:
            self._line(line)
        return 0

    def end(self) -> None:
        """Print the totals over all lines."""
        click.echo(f"file {self._name}: {self._totals.text()}")

    def _line(self, line: str) -> None:
        click.echo(line)
        totals = Totals(sentences=1)
        before = [BEGINNING] if self._text_model.start_id is not None else []
        tokens = self._text_model.encode_line(line)[0]
        for token, score in zip(tokens, self._text_model.full_scores(line), strict=True):
            word = self._word(token, score.unknown)
            context = before[-1] + (" ..." if len(before) > 1 else " ") if before else ""
            click.echo(f"\tp( {word} | {context}) \t= {self._outcome(score)}")
            totals.add(_totals_of(score, word == END))
            before = [*before[-1:], word]
        click.echo(f"{totals.text()}\n")
        self._totals.add(totals)

    def _word(self, token: str, unknown: bool) -> str:
        """Return a token as a word of the format, which separates words by spaces."""
        if unknown:
            return UNKNOWN
        if token == self._text_model.vocabulary.eos:
            return END
        shown = visible(readable(self._text_model, token), self._text_model.unit == "byte")
        return shown.replace(" ", r"\x20")

    def _outcome(self, score: FullScore) -> str:
        """Return the source of a probability, the probability, and its log10."""
        if math.isinf(score.log10_prob):
            return "[OOV] 0 [ -inf ]"
        source = "rnn" if self._text_model.order is None else f"{score.ngram_length}gram"
        return f"[{source}] {10**score.log10_prob:.7g} [ {score.log10_prob:.7g} ]"


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


def readable(text_model: TextModel, token: str) -> str:
    """Return a token as text; a subword piece without its encoding."""
    tokenizer = text_model.tokenizer
    return tokenizer.readable(token) if isinstance(tokenizer, SubwordTokenizer) else token


def visible(token: str, is_byte: bool) -> str:
    """Return a token for a table: unprintable characters and single bytes of a character as escapes."""
    if token.isascii() or not is_byte:
        return token if token.isprintable() else token.encode("unicode_escape").decode()
    return f"\\x{ord(token):02x}"


def warn_of_zero_probability(lines: int) -> None:
    """Warn on standard error about lines with unknown tokens under a model without <unk>, if there are any."""
    if lines:
        click.echo(
            f"elman: lines with tokens that are not in the vocabulary, which has no <unk>: {lines:,}; their "
            "probability is 0; train with --min-count 2 or --max-vocab to give unknown words a probability",
            err=True,
        )
