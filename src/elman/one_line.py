"""The `repr` of models, layers and optimizers: one line with sizes and settings, and never an array."""

import inspect
import math
from collections.abc import Iterable
from typing import Any


def one_line(thing: object, *facts: str) -> str:
    """Return the name of the class and, in parentheses, the facts that are not empty.

    >>> one_line(Exception(), "order 3", "", number_of(40_000, "n-gram"))
    'Exception(order 3, 40,000 n-grams)'
    """
    return f"{type(thing).__name__}({', '.join(filter(None, facts))})"


def number_of(number: int, unit: str) -> str:
    """Return a number with its unit: `1 parameter`, `5,282,000 parameters`."""
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def parameters(arrays: Iterable[Any]) -> str:
    """Return how many parameters the arrays hold; an array that is listed twice counts once."""
    distinct = {id(array): math.prod(array.shape) for array in arrays}
    return number_of(sum(distinct.values()), "parameter")


def layer_line(layer: Any, inputs: int, outputs: int, *facts: str) -> str:
    """Return a layer with its widths and parameters: `TimeLSTM(100 → 200, 240,800 parameters)`."""
    return one_line(layer, f"{inputs:,} → {outputs:,}", *facts, parameters(layer.params))


def settings(thing: object, always: str = "") -> str:
    """Return the arguments of the constructor that are not at their default, and always one: `lr=0.002, momentum=0.8`.

    An argument's value is the attribute of the same name; those that are no numbers or strings are left out.
    """
    shown = []
    for name, argument in inspect.signature(type(thing)).parameters.items():
        value = getattr(thing, name, None)
        if isinstance(value, (bool, int, float, str)) and (name == always or value != argument.default):
            shown.append(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value!r}")
    return ", ".join(shown)
