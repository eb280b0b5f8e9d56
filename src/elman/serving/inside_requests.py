"""Requests that look inside a recurrent network; see `elman.serving.requests`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from elman.serving.requests import Name

Looked = Annotated[str, Meta(min_length=1, description="The text that is read.")]
Layer = Annotated[int, Meta(ge=0, description="Counted from 0 at the bottom; the top one where left out.")]
What = Literal["h", "c", "i", "f", "g", "o", "r", "z", "n"]
Property = Literal[
    "inside_quotes",
    "inside_brackets",
    "line_position",
    "word_position",
    "after_name",
    "capital",
    "digit",
    "space",
    "punctuation",
    "word_start",
    "word_length",
    "text_position",
]


class InsideRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /inside: which states or gates to tell of, after each token."""

    text: Looked
    model: Name | None = None
    layer: Layer | None = None
    what: Annotated[What, Meta(description="RNN: h; LSTM: h, c, i, f, g, o; GRU: h, r, z, n.")] = "h"


class UnitsRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /units: ``property`` or ``span``, not both."""

    text: Looked
    model: Name | None = None
    layer: Layer | None = None
    what: Annotated[What, Meta(description="As in POST /inside.")] = "h"
    top: Annotated[int, Meta(ge=1, le=10_000, description="How many units to tell of.")] = 10
    property: Property | None = None
    span: (
        Annotated[tuple[int, int], Meta(description="The first character, and the one after the last.")]
        | None
    ) = None


class ThroughTimeRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /through-time."""

    text: Looked
    index: Annotated[int, Meta(ge=0, description="The token that is predicted, counted from 0.")]
    model: Name | None = None
