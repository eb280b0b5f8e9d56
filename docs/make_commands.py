"""Write docs/*/reference/commands.md from the commands' own help: run as ``python docs/make_commands.py``."""

import os
from pathlib import Path

import click

from elman.cli import COMMANDS, group

DOCS = Path(__file__).parent
WIDTH = 100
HEADS = {
    "en": """# Commands

What `elman --help` and `elman COMMAND --help` print. This page is made from them by
`python docs/make_commands.py`; a test fails when it is out of date.
""",
    "ko": """# 명령 목록

`elman --help`와 `elman COMMAND --help`가 출력하는 도움말입니다. 환경 변수 `ELMAN_LANG=ko`나 한국어 로캘에서는 명령도
이렇게 한국어로 답합니다. 이 페이지는 `python docs/make_commands.py`가 만들며, 도움말과 다르면 테스트가 실패합니다.
""",
}


def main() -> None:
    """Write the pages."""
    for language in HEADS:
        path = place(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(language), encoding="utf-8")


def place(language: str) -> Path:
    """Return the path of a page."""
    return DOCS / language / "reference" / "commands.md"


def page(language: str) -> str:
    """Return the page in a language."""
    before = os.environ.get("ELMAN_LANG")
    os.environ["ELMAN_LANG"] = language
    try:
        return "\n".join([HEADS[language], *_helps()])
    finally:
        if before is None:
            del os.environ["ELMAN_LANG"]
        else:
            os.environ["ELMAN_LANG"] = before


def _helps() -> list[str]:
    parent = group.context_class(group, info_name="elman", terminal_width=WIDTH, **group.context_settings)
    parts = [_fenced("elman", group.get_help(parent))]
    for name in COMMANDS:
        command: click.Command = group.get_command(parent, name)
        parts.append(_fenced(f"elman {name}", command.get_help(command.context_class(command, parent, name))))
    return parts


def _fenced(title: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"## {title}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    main()
