"""Update the Korean catalogue from the strings of the source: run as ``python docs/make_catalogue.py``.

A message of elman is any string of the source that is a phrase: it has a space and letters. Its fields are numbered:
``f"{path} has no {name!r}"`` and ``"%s has no %r"`` become ``{0} has no {1}``. The script keeps the translations that
are still needed, drops the others, adds what is new with an empty translation, and lists what is to be translated.
"""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from elman.catalogue import CATALOGUE, read_catalogue

SOURCE = Path(__file__).parents[1] / "src" / "elman"
NOT_FOR_PEOPLE = {  # places: what their phrases are
    "__init__.py": "names",
    "catalogue.py": "what is written in the catalogue itself",
    "figures": "labels in both languages",
    "inspection/examples.py": "words of a text",
    "models/rooms_truth.py": "symbols of a grammar",
    "recording": "pages, which have their own strings",
    "serving": "answers to other programs, in English",
    "text/amounts.py": "words of a text",
    "text/number_words.py": "words of a text",
    "text/numbers.py": "words of a text",
    "text/rooms": "words of a text",
    "text/spoken.py": "words of a text",
    "web": "pages, which have their own strings",
}
FOR_PEOPLE = {"serving/running.py", "serving/server.py"}  # what `elman serve` prints
FROM_ELSEWHERE = "#: from elsewhere"  # entries for click's messages, the system's, and single words
METHODS = {"compile", "info", "warning", "error"}
PREDICATE = re.compile(r"(is|has|cannot be read)\b")
NOT_PROSE = re.compile(r"(\{0\})?<|\w+( \| \w+)+$| \?\[")  # HTML and reprs, types, a pattern
PRINTF = re.compile(r"%[-+#0]*\d*(?:\.\d+)?[sdrfgeixa]")
FORMAT = re.compile(r"\{\w*(?:![rsa])?(?::[^{}]*)?\}")


def main() -> None:
    """Write the catalogue, and print what it lacks."""
    text, missing = updated()
    CATALOGUE.write_text(text, encoding="utf-8")
    for template in missing:
        print(template)
    sys.exit(f"{len(missing)} messages have no translation in {CATALOGUE}" if missing else None)


def updated() -> tuple[str, list[str]]:
    """Return the catalogue as it should be, and the messages without a translation."""
    old = CATALOGUE.read_text(encoding="utf-8") if CATALOGUE.exists() else ""
    translations = read_catalogue(old)
    head, _, elsewhere = old.partition(f"{FROM_ELSEWHERE}\n")
    parts, missing = [head.partition("#:")[0].rstrip()], []
    others = read_catalogue(elsewhere)
    for place, templates in sorted(messages().items()):
        own = [template for template in templates if template not in others]
        missing += [template for template in own if not translations.get(template)]
        entries = "\n\n".join(entry(template, translations.get(template, "")) for template in own)
        if entries:
            parts.append(f"#: {place}\n{entries}")
    return "\n\n".join([*parts, f"{FROM_ELSEWHERE}\n{elsewhere}"]), missing


def entry(template: str, translation: str) -> str:
    """Return an entry of the catalogue."""
    return f"msgid {quoted(template)}\nmsgstr {quoted(translation)}"


def quoted(text: str) -> str:
    """Return a string of the catalogue."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def messages() -> dict[str, list[str]]:
    """Return the templates in each file of the source, each template in the first file only."""
    found: dict[str, list[str]] = {}
    seen = set()
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        parents = {place, *(parent.as_posix() for parent in Path(place).parents)}
        if parents & NOT_FOR_PEOPLE.keys() and place not in FOR_PEOPLE:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        templates = [*phrases(tree), *(helps(tree) if place.startswith("cli/") else ())]
        found[place] = [each for each in dict.fromkeys(templates) if each not in seen]
        seen.update(templates)
    return found


def phrases(tree: ast.AST) -> Iterator[str]:
    """Yield the templates of the phrases in a module that are no docstrings and no patterns."""
    skipped: set[ast.AST] = set()
    logged: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            skipped.update(part for part in node.values if isinstance(part, ast.Constant))
            fields = [part for part in node.values if isinstance(part, ast.FormattedValue)]
            skipped.update(field.format_spec for field in fields if field.format_spec is not None)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func) if node.func.attr in METHODS else ""
            if called == "re.compile":
                skipped.update(ast.walk(node))
            elif called.startswith(("log.", "logger.")):
                logged.add(node.args[0])
        elif isinstance(node, ast.AnnAssign):
            skipped.add(node.annotation)
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            skipped.add(node.returns)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            yield from phrase("".join(_part(part) for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from phrase(PRINTF.sub("{}", node.value) if node in logged else node.value)


def _part(node: ast.expr) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else "{}"


def phrase(text: str) -> Iterator[str]:
    """Yield a text with its fields numbered, if it is a phrase."""
    fields = iter(range(100))
    template = FORMAT.sub(lambda found: f"{{{next(fields)}}}", text)
    words = re.sub(r"\{\d+\}", "", template)
    words = words if template != words else words.strip()
    if " " in words and len(re.findall(r"[A-Za-z]", words)) > 3 and not NOT_PROSE.match(template):
        # "is damaged" completes the message `{where} {what} ({reason}){remedy}` of elman.parsing
        yield f"{{0}} {template} ({{1}}){{2}}" if PREDICATE.match(template) else template


def helps(tree: ast.AST) -> Iterator[str]:
    """Yield the paragraphs of the commands' docstrings, which are their help."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in {"command", "group"}:
            text = ast.get_docstring(node) or ""
            for paragraph in inspect.cleandoc(text).split("\n\n"):
                yield " ".join(paragraph.split())


if __name__ == "__main__":
    main()
