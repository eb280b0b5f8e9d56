"""`elman check-gradients`: compare backward passes with numerical gradients."""

import importlib
import sys
import traceback
from pathlib import Path

import click

from elman.cli.output import table
from elman.errors import ConfigError, ElmanError
from elman.gradcheck import GradientReport, check_all_gradients, check_gradients


@click.command("check-gradients")
@click.argument("factory", required=False)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="seed of the weights and inputs"
)
def command(factory: str | None, seed: int) -> None:
    """Compare every layer's backward pass with central differences, in float64, on the second block.

    With FACTORY, such as `my_module:make`, your own layer is checked instead: a function without arguments, in a
    module in the current folder, that returns (layer, x) or (layer, x, further arguments of forward).
    """
    report = check_all_gradients(seed) if factory is None else _check_own(factory)
    click.echo(table(report.text_rows(), report.left))
    if not report.passed:
        raise ConfigError("a gradient is wrong; see the rows marked WRONG")


def _check_own(factory: str) -> GradientReport:
    """Check the layer that the user's function returns."""
    module_name, _, function_name = factory.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        make = getattr(importlib.import_module(module_name), function_name)
    except Exception as error:  # importing it can raise anything
        raise ConfigError(
            f"cannot load {factory!r} ({type(error).__name__}: {error}); write MODULE:FUNCTION, as in my_layer:make"
        ) from error
    try:
        layer, x, *args = make()
        return check_gradients(layer, x, *args)
    except ElmanError:
        raise
    except Exception as error:  # an unfinished layer can raise anything
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"{factory} cannot be checked: {type(error).__name__}: {error} ({at.filename}, line {at.lineno})"
        ) from error
