"""`elman check-gradients`: our layers, the user's, and the user's mistakes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Refused = Callable[..., str]
LAYER = """
import numpy as np

class Double:
    params, grads = [], []
    def forward(self, x):
        return {factor} * x
    def backward(self, dout=1):
        return 2 * dout

def make():
    return Double(), np.ones((2, 3))
"""


def test_all_layers_pass(command: Any) -> None:
    outcome = command("check-gradients", "--seed", 1)
    assert outcome.code == 0
    rows = outcome.out.splitlines()[1:]
    assert len(rows) > 40
    assert all(row.endswith("  ok") for row in rows)
    layers = {row.split("  ")[0] for row in rows}
    assert layers >= {
        "TimeBidirectional",
        "Recursive",
        "TimeRNN",
        "TimeLSTM",
        "TimeGRU",
        "TimeEmbedding",
        "TimeAffine",
        "TimeSoftmaxWithLoss",
    }


@pytest.mark.parametrize(
    ("name", "factor", "verdict"), [("right_layer", 2, "ok"), ("wrong_layer", 3, "WRONG")]
)
def test_user_layer_is_checked(command: Any, name: str, factor: int, verdict: str) -> None:
    Path(f"{name}.py").write_text(LAYER.format(factor=factor))
    outcome = command("check-gradients", f"{name}:make")
    (row,) = outcome.out.splitlines()[1:]
    assert row.startswith("Double")
    assert row.endswith(verdict)
    assert outcome.code == (verdict != "ok")
    assert outcome.err == (
        "" if verdict == "ok" else "elman: a gradient is wrong; see the rows marked WRONG\n"
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "gone",
            None,
            "cannot load 'gone:make' (ModuleNotFoundError: No module named 'gone'); write MODULE:FUNCTION",
        ),
        (
            "without",
            "x = 1",
            "cannot load 'without:make' (AttributeError: module 'without' has no attribute 'make')",
        ),
        ("broken", "def make(:", "cannot load 'broken:make' (SyntaxError"),
        (
            "text",
            "def make(): return 'a text'",
            "text:make cannot be checked: ValueError: too many values|AttributeError",
        ),
        (
            "raising",
            "def make(): 1 / 0",
            "raising:make cannot be checked: ZeroDivisionError: division by zero (",
        ),
        (
            "single",
            LAYER.format(factor=2).replace("(2, 3)", "(2, 3), np.float32"),
            "the input is float32; a gradient",
        ),
    ],
)
def test_error_in_user_layer_is_one_line(
    refused: Refused, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        Path(f"own_{name}.py").write_text(content)
        message = message.replace(f"{name}:make", f"own_{name}:make").replace(f"'{name}'", f"'own_{name}'")
    line = refused("check-gradients", f"{'' if content is None else 'own_'}{name}:make")
    assert any(part in line for part in message.split("|"))
