"""Find the hidden units that correlate with a property of the text."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elman.errors import ConfigError, ShapeError
from elman.inspection.text_properties import PROPERTIES, Span, property_of
from elman.inspection.trace import Trace, trace
from elman.text_model import TextModel


class ConstantProperty(ConfigError):
    """Raised for a property that is the same at every token of a text, so that no unit can correlate with it."""


class UnitCorrelation(NamedTuple):
    """A unit of a layer, counted from 0, and its Pearson correlation with a property, -1 to 1."""

    unit: int
    correlation: float


def correlations(values: ArrayLike, property_: ArrayLike) -> NDArray[np.float64]:
    """Return Pearson's r (H,) of each column of values (T, H) with a property (T,); 0 for constant columns.

    Raises:
        ShapeError: the property does not have one number per row.
        ConstantProperty: the property is the same in all rows.
    """
    units, given = np.asarray(values, np.float64), np.asarray(property_, np.float64)
    if units.ndim != 2 or given.shape != units.shape[:1]:
        raise ShapeError(f"a property of {units.shape} values must be ({len(units)},), got {given.shape}")
    if not len(given) or given.min() == given.max():
        raise ConstantProperty(
            "the property is the same at every token of this text, so no unit can correlate with it; "
            "give a text in which it changes"
        )
    centred, deviations = units - units.mean(axis=0), given - given.mean()
    lengths = np.linalg.norm(centred, axis=0) * np.linalg.norm(deviations)  # (H,)
    varying = (units.min(axis=0) < units.max(axis=0)) & (lengths > 0) & np.isfinite(lengths)
    found: NDArray[np.float64] = np.zeros(units.shape[1])
    np.divide(deviations @ centred, lengths, out=found, where=varying)
    return found.clip(-1, 1)


MEMORY = (
    "inside_quotes",
    "inside_brackets",
    "after_name",
    "sentence_position",
    "line_position",
    "text_position",
)


def followed(traced: Trace, what: str, layer: int | None) -> str | None:
    """Return the property that a unit of a trace follows best; None if no property changes within the text.

    Properties of what was read before come first (`MEMORY`): a unit can only follow them if it remembers. Those of the
    current token are considered where none of the others changes.
    """
    values = traced.values(what, layer)
    best: dict[str, float] = {}
    for name in PROPERTIES:
        given = property_of(traced.coded, name)
        if given.min() < given.max():
            best[name] = float(np.abs(correlations(values, given)).max())
    candidates = [name for name in best if name in MEMORY] or list(best)
    return max(candidates, key=lambda name: best[name]) if candidates else None


def strongest(traced: Trace, of: str | Span, what: str, layer: int | None, top: int) -> list[UnitCorrelation]:
    """Return the units of a trace that correlate most with a property; see `correlated_units`."""
    if top < 1:
        raise ConfigError(f"top must be an integer ≥ 1, got {top}")
    found = correlations(traced.values(what, layer), property_of(traced.coded, of))
    best = np.argsort(-np.abs(found), kind="stable")[:top]
    return [UnitCorrelation(unit, float(found[unit])) for unit in best.tolist()]


def correlated_units(
    text_model: TextModel,
    text: str,
    of: str | Span,
    what: str = "h",
    layer: int | None = None,
    top: int = 10,
) -> list[UnitCorrelation]:
    """Return the units whose values after each token correlate most with a property of the text, by falling ``|r|``.

    ``of`` is the name of a property (see `elman.inspection.text_properties`), or a span of characters (first, last) for
    the units that distinguish its tokens from all others. ``what`` and ``layer`` are those of `Trace.values`. A
    correlation in one text is only a hint: check it on another text.

    Raises:
        NoHiddenUnits, TextError: see `trace`.
        ConfigError: the property is unknown or constant in the text, the span is not within it, there is no such
            layer or state, or top is below 1.
    """
    return strongest(trace(text_model, text), of, what, layer, top)
