"""examples/recursive_trees.py: the tree model evaluates expressions that are longer than those it was trained on."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "examples"))

import recursive_trees

pytestmark = pytest.mark.slow


def test_trees_generalise_and_the_flat_baseline_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = recursive_trees.main(tree_updates=120, flat_updates=40)
    assert accuracy["tree", 5] > 0.98
    assert accuracy["tree", 20] > 0.95
    assert accuracy["flat", 20] < 0.8
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_values_are_those_of_python() -> None:
    def source(tree: object) -> str:
        if isinstance(tree, str):
            return {"true": "True", "false": "False"}.get(tree, tree)
        left, right = tree  # type: ignore[misc]
        return f"({source(left)} {source(right)})" if left not in ("and", "or") else f"{left} {source(right)}"

    rng = np.random.default_rng(0)
    for operators in range(8):
        tree, value = recursive_trees.draw_expression(operators, rng)
        assert eval(source(tree)) is value
        assert sum(source(tree).count(word) for word in ("not", "and", "or")) == operators


def test_brackets() -> None:
    tree = ("true", ("and", ("not", "false")))
    assert " ".join(recursive_trees.with_brackets(tree)) == "( true ( and ( not false ) ) )"
