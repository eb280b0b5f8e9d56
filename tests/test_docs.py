"""The documentation is correct: programs print the output shown, links and commands exist, translations agree.

Conventions: a ```python block continues the one before it on the same page. A ```text block directly below is
its output (words exactly, numbers to 10 %), unless `<!-- output varies -->` is between them, because rounding
differs from machine to machine. `<!-- needs ELMAN_DATA -->` above a fence marks a program that needs the
reference data. ```sh blocks hold commands.
"""

import ast
import contextlib
import importlib
import os
import re
import shlex
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click
import pytest

import elman
from elman.cli import group
from elman.workers import limited_threads

ROOT = Path(__file__).parent.parent
PAGES = [
    page
    for page in (ROOT / "README.md", ROOT / "README.ko.md", *sorted(ROOT.glob("docs/[ek][no]/**/*.md")))
    if page.exists()
]
TRANSLATED = sorted(
    page
    for page in (ROOT / "docs" / "ko").rglob("*.md")
    if page.name != "commands.md"  # made from the help
)
NEEDS_DATA = "<!-- needs ELMAN_DATA -->"
MOST_LINES = {"howto": 250, "tutorial": 600}  # of a page: longer ones are not read to the end
FENCE = re.compile(
    r"^(?P<ticks>```+)(?P<language>[\w{}]*)[^\n]*\n(?P<body>.*?)^(?P=ticks)[ ]*$", re.MULTILINE | re.DOTALL
)
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")
COMMAND_ENDS = {"|", "||", "&&", ";", "&", "(", ")"}
REDIRECTS = {">", ">>", "<"}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, first line, and the plain text above it, up to the last block."""

    language: str
    body: str
    line: int
    above: str

    @property
    def needs_data(self) -> bool:
        return self.above.rstrip().endswith(NEEDS_DATA)


def blocks_of(text: str) -> list[Block]:
    found, end = [], 0
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start("body")) + 1
        found.append(Block(match["language"], match["body"], line, text[end : match.start()]))
        end = match.end()
    return found


def program(text: str) -> tuple[str, ...]:
    """Return a page's Python blocks without their comments."""
    return tuple(ast.dump(ast.parse(b.body)) for b in blocks_of(text) if b.language == "python")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def pages_to_run() -> list[Path]:
    """Return the pages with Python blocks; a translation with the same blocks is left out."""
    first: dict[tuple[str, ...], Path] = {}
    for page in PAGES:
        first.setdefault(program(page.read_text("utf-8")), page)
    return [page for blocks, page in first.items() if blocks]


def same_output(expected: str, printed: str) -> bool:
    """Return whether two outputs have the same words and, to 10 %, the same numbers."""
    wanted, got = ([float(n.replace(",", "")) for n in NUMBER.findall(text)] for text in (expected, printed))
    words, got_words = (NUMBER.sub("#", text).split() for text in (expected, printed))
    close = [abs(a - b) <= 0.1 * max(abs(a), abs(b)) for a, b in zip(wanted, got, strict=False)]
    return words == got_words and len(wanted) == len(got) and all(close)


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_to_run(), ids=name_of)
def test_programs_print_the_output_shown(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    blocks = blocks_of(page.read_text("utf-8"))
    with limited_threads(0):  # one thread: the products are small
        for block, below in pairwise([*blocks, Block("", "", 0, "end")]):
            if block.language != "python" or (block.needs_data and not os.environ.get("ELMAN_DATA")):
                continue
            code = "\n" * (block.line - 1) + block.body  # so that a traceback names the page's own line
            exec(compile(code, str(page), "exec"), namespace)
            printed = capsys.readouterr().out
            if below.language == "text" and not below.above.strip():
                where = f"{name_of(page)}, line {below.line}"
                assert same_output(below.body, printed), f"{where} differs from what was printed:\n{printed}"


def test_same_output_rejects_other_words_and_numbers() -> None:
    assert same_output("loss 1.00, V = 10,000\n", "loss  1.05, V = 10,000")
    assert same_output("3.3e-11 -2", "3.4e-11 -2.01")
    assert not same_output("loss 1.00", "loss 1.20")
    assert not same_output("loss 1.00", "cost 1.00")
    assert not same_output("3.3e-11", "3.3e-10")
    assert not same_output("1 2", "1 2 3")


def commands_in(script: str) -> list[list[str]]:
    """Return the arguments of every call of `elman` in a shell script."""
    found = []
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        call: list[str] = []
        for word in [*lexer, ";"]:
            if word not in COMMAND_ENDS:
                call.append(word)
                continue
            while call and (call[0] == "$" or re.match(r"\w+=", call[0])):
                del call[0]  # a prompt, or a variable for this command only
            if call and call[0] == "elman":
                to_file = next((k for k, part in enumerate(call) if part in REDIRECTS), len(call))
                found.append(call[1:to_file])
            call = []
    return found


def check_command(arguments: list[str]) -> None:
    """Raise click.UsageError for an unknown command, option or choice, or a wrong number of arguments."""
    context = group.make_context("elman", ["data"])
    if not arguments or arguments[0].startswith("-"):
        with contextlib.suppress(click.exceptions.Exit):  # --help and --version end there
            group.make_context("elman", list(arguments))
        return
    verb, command, rest = group.resolve_command(context, list(arguments))
    assert command is not None
    with contextlib.suppress(click.exceptions.Exit):
        command.make_context(verb, rest, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_options_exist(page: Path) -> None:
    for block in blocks_of(page.read_text("utf-8")):
        if block.language == "sh":
            for arguments in commands_in(block.body):
                try:
                    check_command(arguments)
                except click.UsageError as error:
                    pytest.fail(f"{name_of(page)}, line {block.line}: elman {shlex.join(arguments)}: {error}")


def test_unknown_commands_and_options_are_found() -> None:
    script = "cat a | elman score run -  # a pipe\nX=1 elman train a \\\n  -o b && elman plot b > c"
    assert commands_in(script) == [["score", "run", "-"], ["train", "a", "-o", "b"], ["plot", "b"]]
    for wrong in (
        ["trane", "x"],
        ["train", "x", "--hiden", "3"],
        ["train", "x", "--cell", "nn"],
        ["eval", "x"],
    ):
        with pytest.raises(click.UsageError):
            check_command(wrong)


def anchors_of(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return {f"{name}-{k}" if k else name for i, name in enumerate(plain) for k in [plain[:i].count(name)]}


def broken_links(page: Path) -> list[str]:
    """Return the relative links and pictures of a page whose target does not exist."""
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text("utf-8")))
    targets = re.findall(r"\]\(<?([^)\s>]+)", text) + re.findall(r"(?:src|href|srcset)=\"([^\"]+)\"", text)
    broken = []
    for target in targets:
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        outside = re.match(r"[a-z]+:", target) is not None
        if outside or (file.exists() and (not anchor or anchor in anchors_of(file.read_text("utf-8")))):
            continue
        broken.append(target)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_exist(page: Path) -> None:
    assert broken_links(page) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# 첫 걸음: a\n[a](page.md) [b](no.md) ![c](no.png) [d](#첫-걸음-a) [e](#x) [f](http://x.y)", "utf-8"
    )
    assert broken_links(page) == ["no.md", "no.png", "#x"]


@pytest.mark.parametrize("page", TRANSLATED, ids=name_of)
def test_translations_have_the_same_blocks(page: Path) -> None:
    text, other = (
        path.read_text("utf-8")
        for path in (page, ROOT / "docs" / "en" / page.relative_to(ROOT / "docs" / "ko"))
    )
    assert program(text) == program(other)
    assert without_comments(text) == without_comments(other)


def without_comments(text: str) -> list[tuple[str, bool, list[str]]]:
    """Return every block except Python and toctrees, without its comments, and whether it needs data."""
    return [
        (b.language, b.needs_data, [re.sub(r"(^|\s+)#.*", "", line) for line in b.body.splitlines()])
        for b in blocks_of(text)
        if b.language not in ("python", "{toctree}")
    ]


def module_path(dotted: str) -> str:
    """Return the longest prefix of a dotted name that is a module or package in src."""
    parts = dotted.split(".")
    while parts:
        file = ROOT.joinpath("src", *parts)
        if file.is_dir() or file.with_suffix(".py").exists():
            return ".".join(parts)
        parts.pop()
    return ""


def missing_names(text: str) -> list[str]:
    """Return the dotted names `elman.…` in a text that are neither a module nor an attribute of one."""
    missing = []
    for dotted in re.findall(r"`(elman(?:\.\w+)+)", text):
        module = module_path(dotted)
        found: object = importlib.import_module(module)
        for name in dotted[len(module) + 1 :].split("."):
            found = getattr(found, name, None) if name else found
        if found is None:
            missing.append(dotted)
    return missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_names_in_the_code_exist(page: Path) -> None:
    assert missing_names(FENCE.sub("", page.read_text("utf-8"))) == []


def test_missing_names_are_found() -> None:
    text = (
        "`elman.TimeRNN` `elman.layers.rnn` `elman.layers.rnn.RNN(x)` `elman.nothing` `elman.layers.rnn.No.x`"
    )
    assert missing_names(text) == ["elman.nothing", "elman.layers.rnn.No.x"]


def glossary(language: str) -> list[dict[str, str]]:
    """Return the rows of a glossary, each as a column's name → its cell."""
    text = (ROOT / "docs" / language / "reference" / "glossary.md").read_text("utf-8")
    rows = []
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]
        rows += [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
    return rows


def test_glossaries_have_the_same_terms() -> None:
    english, korean = glossary("en"), glossary("ko")
    assert len(english) > 50
    assert [(r["term"], r["Korean"], r["symbol"], r["code"]) for r in english] == [
        (r["영어"], r["용어"], r["기호"], r["코드"]) for r in korean
    ]
    terms = [row["term"] for row in english]
    assert len(set(terms)) == len(terms)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_glossaries_are_complete(language: str) -> None:
    for row in glossary(language):
        assert all(row[column] for column in row if column not in ("symbol", "기호")), row
        assert missing_names(row.get("code", row.get("코드", ""))) == []


def toctree_entries(index: Path) -> list[Path]:
    """Return the pages in the toctrees of an index page, in order."""
    found = []
    for tree in blocks_of(index.read_text("utf-8")):
        if tree.language != "{toctree}":
            continue
        for entry in [line for line in tree.body.splitlines() if line and not line.startswith(":")]:
            name = re.sub(r".*<(.+)>$", r"\1", entry)  # a title of its own: 결과 <results>
            pages = sorted(index.parent.glob(f"{name}.md"))
            assert pages, f"{name_of(index)}: there is no page {name}"
            found += [page for page in pages if page != index]
    return found


def pages_below(index: Path) -> list[Path]:
    """Return the pages that the toctrees of an index page lead to, at any depth."""
    found = []
    for page in toctree_entries(index):
        found += [page, *pages_below(page)]
    return found


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_page_is_in_one_toctree(language: str) -> None:
    folder = ROOT / "docs" / language
    listed = [name_of(page) for page in pages_below(folder / "index.md")]
    assert sorted(listed) == sorted(
        name_of(page) for page in folder.rglob("*.md") if page != folder / "index.md"
    )


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_index_of_tasks_links_to_every_page(language: str) -> None:
    index = ROOT / "docs" / language / "howto" / "index.md"
    pages = toctree_entries(index)
    assert sorted(pages) == sorted(page for page in index.parent.glob("*.md") if page != index)
    titles = [page.read_text("utf-8").splitlines()[0].removeprefix("# ") for page in pages]
    links = re.findall(r"^- \[(.*)\]\((.*)\)$", index.read_text("utf-8"), re.MULTILINE)
    assert links == [(title, page.name) for title, page in zip(titles, pages, strict=True)]


def test_every_task_is_described_in_both_languages() -> None:
    english, korean = (
        [page.name for page in toctree_entries(ROOT / "docs" / language / "howto" / "index.md")]
        for language in ("en", "ko")
    )
    assert english == korean


def test_pages_are_short() -> None:
    long = {
        name_of(page): lines
        for page in PAGES
        for lines in [len(page.read_text("utf-8").splitlines())]
        if lines > MOST_LINES.get(page.parent.name, lines)
    }
    assert long == {}


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_public_name_is_in_the_reference(language: str) -> None:
    folder = ROOT / "docs" / language / "reference" / "api"
    text = "".join(page.read_text("utf-8") for page in folder.glob("*.md"))
    listed = re.findall(r"^\.\. auto\w+:: (?:elman\.(?:text\.|api\.)?)?(\w+)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(elman.__all__)
