"""The language of what people read: Korean where ELMAN_LANG or the locale says so, otherwise English.

The library writes its messages in English, and the command line translates them when it prints them. So exceptions,
JSON, tables for other programs and the answers of a server are always English, and in English nothing is loaded.
"""

import os
import re

VARIABLES = ("ELMAN_LANG", "LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set decides
KOREAN = re.compile(r"ko(?![a-z])", re.IGNORECASE)  # ko, ko_KR.UTF-8; not kok, which is Konkani


def is_korean() -> bool:
    """Return whether people read Korean here: ``ELMAN_LANG=ko`` or, if that is not set, a Korean locale."""
    chosen = next((value for name in VARIABLES if (value := os.environ.get(name))), "")
    return KOREAN.match(chosen) is not None


def translate(message: str) -> str:
    """Return a message of elman in the user's language; what the catalogue does not know stays as it is."""
    if not is_korean():
        return message
    from elman.catalogue import korean

    return korean().translate(message)
