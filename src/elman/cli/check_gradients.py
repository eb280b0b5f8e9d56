"""`elman check-gradients`: compare backward passes with numerical gradients."""

import importlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from elman.errors import ConfigError, ElmanError
from elman.gradcheck import GradientReport, check_gradients
from elman.layers import (
    TimeAdaptiveSoftmaxWithLoss,
    TimeAffine,
    TimeAffineSoftmaxWithLoss,
    TimeEmbedding,
    TimeGRU,
    TimeLSTM,
    TimeRNN,
    TimeSoftmaxWithLoss,
)
from elman.layers.adaptive import AdaptiveWeights
from elman.models.recurrent import RecurrentLM
from elman.models.window_models import CBOW, NPLM

N, T, D, H, V = 2, 5, 3, 4, 6


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
    reports = _check_built_in(np.random.default_rng(seed)) if factory is None else iter([_check_own(factory)])
    passed = True
    click.echo(f"{'layer':<28}{'gradient of':<14}{'shape':<12}{'entries':>8}{'worst error':>13}  verdict")
    for name, report in reports:
        passed &= report.passed
        for row in report.rows:
            shape = "×".join(map(str, row.shape))
            verdict = "ok" if row.passed else "WRONG"
            click.echo(
                f"{name:<28}{row.name:<14}{shape:<12}{row.checked:>8}{row.max_rel_error:>13.1e}  {verdict}"
            )
    if not passed:
        raise ConfigError("a gradient is wrong; see the rows marked WRONG")


def _check_built_in(rng: np.random.Generator) -> Iterator[tuple[str, GradientReport]]:
    def randn(*shape: int) -> Any:
        return rng.standard_normal(shape)

    xs, before, ids, ts = (
        randn(N, T, D),
        randn(N, T, D),
        rng.integers(0, V, (N, T)),
        rng.integers(0, V, (N, T)),
    )

    def weights(gates: int) -> tuple[Any, Any, Any]:
        return randn(D, gates * H), randn(H, gates * H), randn(gates * H)

    for layer in (
        TimeRNN(*weights(1), stateful=True),
        TimeLSTM(*weights(4), stateful=True),
        TimeGRU(*weights(3), randn(H), stateful=True),
    ):
        yield type(layer).__name__, check_gradients(layer, xs, before=before)
    yield "TimeEmbedding", check_gradients(TimeEmbedding(randn(V, D)), ids)
    yield "TimeAffine", check_gradients(TimeAffine(randn(D, V), randn(V)), xs)
    yield "TimeSoftmaxWithLoss", check_gradients(TimeSoftmaxWithLoss(), randn(N, T, V), ts)
    output = TimeAffineSoftmaxWithLoss(randn(D, V), randn(V))
    yield "TimeAffineSoftmaxWithLoss", check_gradients(output, xs, ts)
    head, tail = (randn(D, 3), randn(3)), (randn(D, 2), randn(2, V - 2), randn(V - 2))
    clusters = TimeAdaptiveSoftmaxWithLoss(AdaptiveWeights(head, [tail], rng.permutation(V)))
    yield "TimeAdaptiveSoftmaxWithLoss", check_gradients(clusters, xs, ts, before=before)
    for name in ("rnn", "lstm", "gru"):
        model = RecurrentLM(V, D, H, name, layers=2, rng=rng, weight_scale=0.5, dtype=np.float64)
        yield f"RecurrentLM {name}, 2 layers", check_gradients(model, ids, ts, before=ids[:, ::-1])
    scales: dict[str, Any] = {"rng": rng, "weight_scale": 0.5, "dtype": np.float64}
    for window in (CBOW(V, D, 3, **scales), NPLM(V, D, H, 3, **scales)):
        yield f"{type(window).__name__}, 3 words", check_gradients(window, ids, ts, before=ids[:, ::-1])


def _check_own(factory: str) -> tuple[str, GradientReport]:
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
        return type(layer).__name__, check_gradients(layer, x, *args)
    except ElmanError:
        raise
    except Exception as error:  # an unfinished layer can raise anything
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigError(
            f"{factory} cannot be checked: {type(error).__name__}: {error} ({at.filename}, line {at.lineno})"
        ) from error
