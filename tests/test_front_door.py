"""Python is a front door: every command is one public function or method, with the same arguments and defaults.

FUNCTIONS maps each command to its function. COMMAND_ONLY are options that only make sense at the command line, and
PYTHON_ONLY arguments that only make sense in Python; RENAMED says where the two have different names, and why.
"""

import inspect
from collections.abc import Callable
from typing import Any

import click
import pytest

import elman
from elman.cli import COMMANDS, group

FUNCTIONS: dict[str, str] = {  # command: the function or method of `elman` that it calls
    "bench": "bench",
    "check-gradients": "check_all_gradients",
    "compare": "compare",
    "data": "corpora",
    "encode": "encode",
    "mix": "mix",
    "normalise": "normalise",
    "pairs": "pairs",
    "plot": "plot",
    "replay": "replay",
    "rescore": "rescore",
    "serve": "serve",
    "train": "train",
    "eval": "TextModel.evaluate",
    "score": "TextModel.score_lines",
    "surprisal": "TextModel.surprisal",
    "generate": "TextModel.generate",
    "export": "TextModel.export",
    "import": "import_model",
}
WITHOUT = {"demo"}  # a tour of the others, which prints
COMMAND_ONLY = {
    "as_json": "a result has to_dict()",
    "quiet": "progress and logging are settings of Python",
}
DYNAMIC = ("dynamic", "dynamic_lr", "dynamic_decay", "dynamic_block", "dynamic_step", "dynamic_text")
CACHE = ("cache", "neural_cache", "theta", "cache_weight")
RENAMED: dict[tuple[str, str], str | None] = {  # (command, parameter): the argument; None: there is none
    ("train", "resume"): "output",  # --resume RUN is train(output=RUN, resume=True)
    ("train", "moved"): "corpus",  # --corpus, where the corpus of --resume RUN has moved to
    ("check-gradients", "factory"): None,  # one's own layer goes to `check_gradients`
    ("data", "name"): None,  # `fetch(name)`
    ("pairs", "per_pair"): None,  # `pairs` of the result
    **{("eval", name): None for name in ("backend", "device")},  # arguments of `elman.load`
    **{("eval", name): None for name in DYNAMIC},  # a method of the model: `TextModel.dynamic`
    **{("eval", name): None for name in CACHE},  # a method of the model: `TextModel.with_cache`
    ("score", "file"): "text",
    ("score", "address"): None,  # a function of its own: `elman.ray.score`
    ("score", "srilm"): None,  # a layout, not a result: `elman.evaluation.srilm`
    ("surprisal", "file"): "text",
    ("surprisal", "output"): None,  # a method of the result: `SurprisalTable.write`
    **{("generate", name): None for name in ("novelty", "novelty_text", "encoding")},  # a function of its own
    **{("import", name): None for name in ("output", "overwrite")},  # a method of the model: `TextModel.save`
}
PYTHON_ONLY: dict[str, set[str]] = {  # command: arguments without an option
    "serve": {"block"},
    "train": {
        "resume",  # see RENAMED
        "options",  # the command has an option for each
        "progress",  # --quiet
        "callback",  # a function
    },
    "encode": {"options", "progress"},  # as of train
    "surprisal": {"bos", "eos"},  # for parts of a sentence, as KenLM's
}


def function_of(command: str) -> Callable[..., Any]:
    value: Any = elman
    for name in FUNCTIONS[command].split("."):
        value = getattr(value, name)
    return value


def parameters_of(command: str) -> dict[str, click.Parameter]:
    loaded = group.get_command(click.Context(group), command)
    assert loaded is not None
    return {str(each.name): each for each in loaded.params if each.expose_value}


def test_every_command_has_a_function() -> None:
    assert set(FUNCTIONS) | WITHOUT == set(COMMANDS)
    assert not set(FUNCTIONS) & WITHOUT


@pytest.mark.parametrize("command", FUNCTIONS)
def test_a_command_and_its_function_have_the_same_arguments(command: str) -> None:
    arguments = dict(inspect.signature(function_of(command)).parameters)
    is_method = arguments.pop("self", None) is not None  # of the model in RUN
    takes_options = any(each.kind is each.VAR_KEYWORD for each in arguments.values())
    matched = set()
    for name, parameter in parameters_of(command).items():
        if name in COMMAND_ONLY or (name == "run" and is_method):
            continue
        own = RENAMED.get((command, name), name)
        if own is None:
            continue
        if own not in arguments:
            assert takes_options, f"{command}: {name} is no argument of {FUNCTIONS[command]}"
            continue
        matched.add(own)
        if arguments[own].default is inspect.Parameter.empty:
            continue  # the command refuses to run without it, too
        if isinstance(parameter, click.Option):
            assert arguments[own].default == default_of(parameter), (
                f"{command}: the defaults of {name} differ"
            )
    others = {name for name, each in arguments.items() if each.kind is not each.VAR_KEYWORD} - matched
    assert others == PYTHON_ONLY.get(command, set()), (
        f"{command}: {others} cannot be given on the command line"
    )


def default_of(option: click.Option) -> Any:
    default = option.get_default(click.Context(click.Command("test")))
    if default is getattr(click.core, "UNSET", None):  # since click 8.3
        default = None
    return () if default is None and option.multiple else default
