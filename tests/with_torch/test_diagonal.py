"""Linear recurrences written by hand agree with PyTorch's autograd, and with programs of other authors.

The oracle of `tests/oracle.py` proves the values; here the equations are once more in PyTorch, one step at a time, and
the gradients are its own. Always over two blocks: the states of the first are carried into the second, detached.
"""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from support.cells import CELLS

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
pytestmark = pytest.mark.torch

N, T, D, H = 3, 6, 5, 4


def tensor(values: Any) -> Any:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def close(ours: Any, theirs: Any, rtol: float = 1e-9) -> None:
    theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
    assert_allclose(ours, theirs, rtol=rtol, atol=rtol * 1e-3)


def fpool_step(x: Any, states: dict[str, Any], Wx: Any, b: Any) -> None:
    z, n = (x @ Wx + b).chunk(2, -1)
    states["h"] = torch.lerp(states["h"], n.tanh(), z.sigmoid())


def qrnn_step(x: Any, states: dict[str, Any], Wx: Any, b: Any) -> None:
    z, f, o = (torch.cat([states["x"], x], -1) @ Wx + b).chunk(3, -1)
    states["c"] = torch.lerp(z.tanh(), states["c"], f.sigmoid())
    states["h"], states["x"] = o.sigmoid() * states["c"], x


def sru_step(x: Any, states: dict[str, Any], Wx: Any, v: Any, b: Any) -> None:
    units, (vf, vr) = len(v) // 2, v.chunk(2)
    zf, zr, u, *p = (x @ Wx + b).split(units, -1)
    c = states["c"]
    f, r = (zf + vf * c).sigmoid(), (zr + vr * c).sigmoid()
    states["c"] = torch.lerp(u, c, f)
    states["h"] = torch.lerp(p[0] if p else 3**0.5 * x, states["c"].tanh(), r)


STEPS: dict[str, Callable[..., None]] = {"fpool": fpool_step, "qrnn": qrnn_step, "sru": sru_step}


@pytest.mark.parametrize("width", [D, H])
@pytest.mark.parametrize("cell", STEPS)
def test_values_and_gradients_are_those_of_autograd(cell: str, width: int) -> None:
    rng = np.random.default_rng(0)
    weights = CELLS[cell].weights(rng, width, H)
    layer = CELLS[cell].Time(**weights, stateful=True)
    theirs = {name: tensor(weight) for name, weight in weights.items()}
    before = {name: tensor(np.zeros((N, size))) for name, size in layer.state_widths.items()}
    for _ in range(2):
        xs, dhs = rng.standard_normal((N, T, width)), rng.standard_normal((N, T, H))
        inputs, states, hs = tensor(xs), dict(before), []
        for t in range(T):
            STEPS[cell](inputs[:, t], states, **theirs)
            hs.append(states["h"])
        outputs = torch.stack(hs, 1)
        for each in theirs.values():
            each.grad = None
        (outputs * torch.tensor(dhs)).sum().backward()

        close(layer.forward(xs), outputs)
        close(layer.backward(dhs), inputs.grad)
        for ours, expected in zip(layer.grads, theirs.values(), strict=True):
            close(ours, expected.grad)
        for name in layer.states:
            close(getattr(layer, name), states[name])
            if before[name].grad is not None:
                close(getattr(layer, "d" + name), before[name].grad)
        before = {name: tensor(state.detach().numpy()) for name, state in states.items()}


def compare(cell: str, theirs: Any, ours_from_theirs: Callable[[Any], Any], b: int) -> None:
    """Compare two blocks, the second of which is one step; their layer has one matrix and no bias."""
    rng = np.random.default_rng(0)
    (matrix,) = theirs.parameters()
    Wx = ours_from_theirs(matrix.detach().numpy().T)
    layer = CELLS[cell].Time(Wx, np.zeros(b * H), stateful=True)
    state = None
    for steps in (T, 1):
        xs, dhs = rng.standard_normal((N, steps, H)), rng.standard_normal((N, steps, H))
        inputs = tensor(xs)
        outputs, after = theirs(inputs, state, return_next_prev_hidden=True)
        matrix.grad = None
        (outputs * torch.tensor(dhs)).sum().backward()
        close(layer.forward(xs), outputs)
        close(layer.backward(dhs), inputs.grad)
        close(layer.grads[0], ours_from_theirs(matrix.grad.numpy().T))
        state = after.detach()


def test_mingru_is_that_of_mingru_pytorch() -> None:
    program = pytest.importorskip("minGRU_pytorch", reason="pip install minGRU-pytorch==0.2.1")
    compare("mingru", program.minGRU(H).double(), lambda W: np.roll(W, H, 1), 2)  # theirs: n, z


def test_minlstm_is_that_of_mingru_pytorch() -> None:
    program = pytest.importorskip("minGRU_pytorch.minLSTM", reason="pip install minGRU-pytorch==0.2.1")
    compare("minlstm", program.minLSTM(H).double(), lambda W: np.roll(W, -H, 1), 3)  # theirs: n, f, i


def recurrentgemma_layers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import recurrentgemma.torch.layers alone: the packages' own imports need JAX, which the file does not."""
    found = importlib.util.find_spec("recurrentgemma")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("pip install --no-deps recurrentgemma==1.0.1; pip install einops jaxtyping")
    folder = Path(found.submodule_search_locations[0])
    for name, path in (("recurrentgemma", folder), ("recurrentgemma.torch", folder / "torch")):
        package = ModuleType(name)
        package.__path__ = [str(path)]
        monkeypatch.setitem(sys.modules, name, package)
    return pytest.importorskip("recurrentgemma.torch.layers", reason="pip install einops jaxtyping")


def test_rglru_is_that_of_recurrentgemma(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    theirs = recurrentgemma_layers(monkeypatch).RGLRU(H, num_heads=1, dtype=torch.float64)
    weights = CELLS["rglru"].weights(rng, H, H)
    layer = CELLS["rglru"].Time(**weights, stateful=True)
    Wx, b = weights["Wx"], weights["b"]
    with torch.no_grad():
        theirs.a_param.copy_(torch.tensor(weights["decay"]))
        for k, gate in enumerate((theirs.a_gate, theirs.input_gate)):
            gate.w[0] = torch.tensor(Wx[:, k * H : (k + 1) * H])
            gate.b[0] = torch.tensor(b[k * H : (k + 1) * H])
    state, places = (
        np.zeros((N, H), np.float32),
        torch.arange(1, T + 1).expand(N, T),
    )  # 0 would be a new document
    for _ in range(2):
        xs, dhs = rng.standard_normal((N, T, H)), rng.standard_normal((N, T, H))
        inputs = tensor(xs)
        outputs, _ = theirs(inputs, places, torch.tensor(state))
        theirs.zero_grad()
        (outputs * torch.tensor(dhs)).sum().backward()
        close(layer.forward(xs), outputs, 1e-5)  # their state is float32
        close(layer.backward(dhs), inputs.grad, 1e-5)
        gates = (theirs.a_gate, theirs.input_gate)
        dWx, d_decay, db = layer.grads
        close(dWx, np.concatenate([gate.w.grad[0].numpy() for gate in gates], 1), 1e-5)
        close(db, np.concatenate([gate.b.grad[0].numpy() for gate in gates]), 1e-5)
        close(d_decay, theirs.a_param.grad, 1e-5)
        state = layer.h.astype(np.float32)
