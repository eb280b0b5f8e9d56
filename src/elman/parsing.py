"""The boundary of every file format: what is damaged or too large leaves as one ElmanError that names the file."""

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from elman.errors import ElmanError

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")  # colours of a terminal
_LONGEST = 300
_PANIC = "PanicException"  # of libraries written in Rust; it is no Exception


@contextlib.contextmanager
def parsing(
    where: object,
    error: type[ElmanError],
    what: str = "is damaged, or not in this format",
    advice: str = "",
) -> Iterator[None]:
    """Turn every error in this block, whatever a damaged file causes, into ``error``; those of elman stay.

    Args:
        where: the file, for the message.
        error: the class of errors to raise.
        what: what the message says about the file.
        advice: what to do, at the end of the message.
    """
    remedy = f"; {advice}" if advice else ""
    try:
        yield
    except ElmanError:
        raise
    except MemoryError as found:
        raise error(f"{where} does not fit into the memory that this process may use") from found
    except Exception as found:
        raise error(f"{where} {what} ({reason(found)}){remedy}") from found
    except BaseException as found:
        if type(found).__name__ != _PANIC:
            raise
        raise error(f"{where} {what} ({reason(found)}){remedy}") from found


def reason(error: BaseException) -> str:
    """Return the first line of an error's message, with its type where the message alone says too little."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    message = _ESCAPES.sub("", str(error)).partition("\n")[0]
    message = message if len(message) <= _LONGEST else message[:_LONGEST] + "…"
    return f"{type(error).__name__}: {message}" if isinstance(error, LookupError) or not message else message


def parse_json(text: str | bytes, where: object, error: type[ElmanError], advice: str = "") -> Any:
    """Return the value of a JSON text. Raises ``error`` if it is not valid, nested too deeply, or has huge numbers."""
    with parsing(where, error, "is not valid JSON", advice):
        return json.loads(text)
