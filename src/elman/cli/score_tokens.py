"""The table of the tokens of lines."""

import math
from dataclasses import asdict

import click

from elman.cli.json_lines import to_json
from elman.evaluation.line_measure import NATS, Unit
from elman.evaluation.surprisal import TokenReader, TokenScore
from elman.models.text_model import TextModel
from elman.text.subword import SubwordTokenizer
from elman.threads import suited_threads


class TokenTable:
    """Prints every token's surprisal, its rank among all tokens, and whether it is unknown."""

    def __init__(
        self, text_model: TextModel, carry: bool, unit: Unit = "bits", as_json: bool = False
    ) -> None:
        self._text_model = text_model
        self._reader = TokenReader(text_model) if carry else None
        self._unit = unit
        self._as_json = as_json
        self._done = 0

    def begin(self) -> None:
        """Print the names of the columns."""
        if not self._as_json:
            click.echo(f"line\ttoken\tsurprisal_{self._unit}\trank\tunknown")

    def lines(self, lines: list[str]) -> int:
        """Print the tokens of lines; return in how many lines one is impossible."""
        with suited_threads(0):
            return sum(map(self._line, lines))

    def end(self) -> None:
        """Print nothing: the last token was printed when it came."""

    def _line(self, line: str) -> bool:
        """Print a line's tokens; return whether one is impossible."""
        self._done += 1
        impossible = False
        for score in (self._reader or TokenReader(self._text_model)).read(line):
            impossible |= math.isinf(score.surprisal_bits)
            self._print(score)
        return impossible

    def _print(self, score: TokenScore) -> None:
        token = readable(self._text_model, score.token)
        if self._as_json:
            numbers = {self._named(name): self._in_unit(name, v) for name, v in asdict(score).items()}
            click.echo(to_json({"line": self._done, **numbers, "token": token}))
        else:
            shown = visible(token, self._text_model.unit == "byte")
            surprisal = self._in_unit("surprisal_bits", score.surprisal_bits)
            click.echo(f"{self._done}\t{shown}\t{surprisal:.4f}\t{score.rank}\t{int(score.unknown)}")

    def _named(self, name: str) -> str:
        return name.replace("_bits", f"_{self._unit}")

    def _in_unit(self, name: str, value: float) -> float:
        return value * (NATS["bits"] / NATS[self._unit]) if name.endswith("_bits") else value


def readable(text_model: TextModel, token: str) -> str:
    """Return a token as people read it."""
    tokenizer = text_model.tokenizer
    return tokenizer.readable(token) if isinstance(tokenizer, SubwordTokenizer) else token


def visible(token: str, is_byte: bool) -> str:
    """Return a token that can stand in a table: what shows nothing, or is half a character, as its escape."""
    if token.isascii() or not is_byte:
        return token if token.isprintable() else token.encode("unicode_escape").decode()
    return f"\\x{ord(token):02x}"
