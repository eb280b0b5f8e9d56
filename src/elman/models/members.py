"""Putting those members of a mixture that something serves into wrappers, each by itself."""

from collections.abc import Callable

from elman.models.base import LanguageModel
from elman.models.mixture import Mixture

Wrap = Callable[[LanguageModel], LanguageModel]
Fits = Callable[[LanguageModel], bool]


def any_fits(model: LanguageModel, fits: Fits) -> bool:
    """Tell whether a model fits or, of a mixture, one of its members."""
    if isinstance(model, Mixture):
        return any(any_fits(member, fits) for member in model.models)
    return fits(model)


def wrap_members(model: LanguageModel, wrap: Wrap, fits: Fits) -> LanguageModel:
    """Return ``wrap(model)``; of a mixture, one with the same weights of which each member that fits is wrapped.

    A mixture of which none does is handed to ``wrap`` itself, to be refused there.
    """
    if isinstance(model, Mixture) and any_fits(model, fits):
        members = [
            wrap_members(member, wrap, fits) if any_fits(member, fits) else member for member in model.models
        ]
        return Mixture(members, model.weights)
    return wrap(model)
