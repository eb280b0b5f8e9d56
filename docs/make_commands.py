"""Write docs/en/reference/commands.md from the commands' own help: run as ``python docs/make_commands.py``."""

from pathlib import Path

import click

from elman.cli import COMMANDS, group

PAGE = Path(__file__).parent / "en" / "reference" / "commands.md"
WIDTH = 100
HEAD = """# Commands

What `elman --help` and `elman COMMAND --help` print. This page is made from them by
`python docs/make_commands.py`; a test fails when it is out of date.
"""


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page."""
    parent = click.Context(group, info_name="elman", terminal_width=WIDTH, **group.context_settings)
    parts = [HEAD, _fenced("elman", group.get_help(parent))]
    for name in COMMANDS:
        command = group.get_command(parent, name)
        context = click.Context(command, parent, name)
        parts.append(_fenced(f"elman {name}", command.get_help(context)))
    return "\n".join(parts)


def _fenced(title: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"## {title}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    main()
