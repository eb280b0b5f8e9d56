"""The examples in docstrings print what the docstrings say."""

import doctest
from types import ModuleType
from typing import Any

import pytest

from elman import kenlm_compat, text_model
from elman.inspection import influence
from elman.models import tokenized
from elman.text import datasets, normalising


def examples(module: ModuleType) -> dict[str, doctest.DocTest]:
    found = doctest.DocTestFinder().find(module, globs={})
    return {test.name.removeprefix(f"{module.__name__}."): test for test in found if test.examples}


def names_after(test: doctest.DocTest, names: dict[str, Any]) -> dict[str, Any]:
    """Run a docstring's examples, and return the names that they leave."""
    test.globs.update(names)
    printed: list[str] = []
    runner = doctest.DocTestRunner()
    runner.run(test, out=printed.append, clear_globs=False)
    assert runner.failures == 0, "".join(printed)
    return test.globs


def beginning() -> dict[str, Any]:
    """The names that the docstring of `TextModel` makes, for those of its methods."""
    return names_after(examples(text_model)["TextModel"], {})


@pytest.mark.parametrize("module", [text_model, tokenized])
def test_examples_of_text_models(module: ModuleType) -> None:
    for example in examples(module).values():
        names_after(example, beginning())


@pytest.mark.parametrize("module", [datasets, normalising, influence])
def test_examples_of_functions(module: ModuleType) -> None:
    for example in examples(module).values():
        names_after(example, dict(vars(module)))


@pytest.mark.parametrize("name", sorted(examples(kenlm_compat)))
def test_examples_of_the_compatible_module(name: str) -> None:
    names = vars(kenlm_compat) | {"text_model": beginning()["model"]}
    names_after(examples(kenlm_compat)[name], names)


def test_every_method_has_an_example() -> None:
    methods = {name for name in vars(text_model.TextModel) if not name.startswith("_")}
    assert {f"TextModel.{name}" for name in methods} <= set(examples(text_model))


def test_a_wrong_example_is_noticed() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    with pytest.raises(AssertionError, match="Expected"):
        names_after(wrong, {})
