"""Help in Korean: click's formatter, given the English help, writes it in Korean."""

import re
from collections.abc import Iterable
from functools import cache

import click

from elman.catalogue import Translator, korean
from elman.cli.messages import in_options
from elman.results import display_width

EXTRA = re.compile(r"(.*)  \[([^]]*)\]", re.DOTALL)  # the help of an option, and what click adds to it


@cache
def help_translator() -> Translator:
    """Return a translator that also knows the messages as the help of an option shows them, with options."""
    catalogue = korean().catalogue
    shown = {
        in_options(message, None): in_options(translation, None)
        for message, translation in catalogue.items()
        if "`" in message
    }
    return Translator(catalogue | shown)


class KoreanFormatter(click.HelpFormatter):
    """Writes help in Korean; a Hangul syllable is two columns wide."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the line that begins with "Usage:"."""
        for part in ("[OPTIONS]", "COMMAND [ARGS]..."):
            args = args.replace(part, help_translator().translate(part))
        super().write_usage(prog, args, f"{help_translator().translate('Usage:')} ")

    def write_heading(self, heading: str) -> None:
        """Write the heading of a section."""
        super().write_heading(help_translator().translate(heading))

    def write_text(self, text: str) -> None:
        """Write paragraphs."""
        width = self.width - self.current_indent
        for k, paragraph in enumerate(text.split("\n\n")):
            if k:
                self.write("\n")
            lines = wrapped(help_translator().translate(" ".join(paragraph.split())), width)
            self.write("".join(f"{'':{self.current_indent}}{line}\n" for line in lines))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write a list of options or commands with their meanings."""
        rows = list(rows)
        first = min(max(display_width(name) for name, _ in rows), col_max) + col_spacing
        indent = " " * self.current_indent
        for name, meaning in rows:
            lines = wrapped(translated_meaning(meaning), max(self.width - first - self.current_indent, 10))
            if display_width(name) <= first - col_spacing and lines:
                self.write(f"{indent}{name}{' ' * (first - display_width(name))}{lines.pop(0)}\n")
            else:
                self.write(f"{indent}{name}\n")
            self.write("".join(f"{indent}{'':{first}}{line}\n" for line in lines))


def translated_meaning(meaning: str) -> str:
    """Return the meaning of an option in Korean, with its default and other remarks in brackets."""
    translator = help_translator()
    found = EXTRA.fullmatch(meaning)
    if found is None or meaning in translator.catalogue:
        return translator.translate(meaning)
    if found[1] not in translator.catalogue:
        whole = translator.translate(meaning)  # a template with the default in it
        if whole != meaning:
            return whole
    remarks = (
        translator.translate("default:") + remark.removeprefix("default:")
        if remark.startswith("default:")  # the value stays as it is typed
        else translator.translate(remark)
        for remark in found[2].split("; ")
    )
    return f"{translated_meaning(found[1])}  [{'; '.join(remarks)}]"


def wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines that are at most so many columns wide, cut at spaces.

    >>> wrapped("퍼플렉서티를 측정합니다.", 14)
    ['퍼플렉서티를', '측정합니다.']
    """
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if display_width(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return [line.rstrip() for line in lines]
