"""Everything public is importable from `elman`, and importing it is cheap."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import elman
from support.waiting import LONG

HEAVY = (
    "matplotlib",
    "torch",
    "pooch",
    "tqdm",
    "threadpoolctl",
    "tomli_w",
    "safetensors",
    "msgspec",
    "click",
)


@pytest.mark.parametrize("name", elman.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(elman, name)
    assert getattr(elman, name) is value
    assert name in dir(elman)
    assert value.__doc__


def test_textbook_names_are_public() -> None:
    from elman import (
        GRU,
        LSTM,
        RNN,
        SGD,
        AdaGrad,
        Adam,
        Momentum,
        RMSProp,
        RnnlmTrainer,
        SimpleRnnlm,
        TimeAffine,
        TimeDropout,
        TimeEmbedding,
        TimeGRU,
        TimeLSTM,
        TimeRNN,
        TimeSoftmaxWithLoss,
        ptb,
    )

    assert callable(ptb.load_data)
    layers = (RNN, TimeRNN, LSTM, TimeLSTM, GRU, TimeGRU, TimeEmbedding, TimeAffine, TimeSoftmaxWithLoss)
    for each in (*layers, TimeDropout):
        assert callable(each.forward)
        assert callable(each.backward)
    for optimizer in (SGD, Momentum, AdaGrad, RMSProp, Adam):
        assert optimizer(lr=0.5).lr == 0.5
    assert callable(RnnlmTrainer(SimpleRnnlm(5, 2, 2), SGD(0.1)).fit)


def test_the_names_for_type_checkers_are_the_same() -> None:
    source = Path(elman.__file__).read_text(encoding="utf-8")
    pairs = re.findall(r"^    from ([\w.]+) import (\w+) as \2$", source, re.MULTILINE)
    assert sorted(name for _, name in pairs) == elman.__all__
    for home, name in pairs:
        assert getattr(elman, name) is getattr(importlib.import_module(home), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'elman' has no attribute 'Transformer'"):
        elman.Transformer  # noqa: B018


def run_python(code: str) -> list[str]:
    source = str(Path(elman.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=source, timeout=LONG
    )
    return done.stdout.split()


def test_only_public_names_are_listed() -> None:
    shown = set(run_python("import elman, elman.cli, elman.layers; print(*dir(elman))"))
    assert {name for name in shown if not name.startswith("__")} == set(elman.__all__)
    assert "__version__" in shown


def test_a_star_imports_the_public_names() -> None:
    shown = run_python("from elman import *; print(*(name for name in dir() if not name.startswith('__')))")
    assert sorted(shown) == elman.__all__


def test_importing_elman_loads_nothing_heavy() -> None:
    loaded = set(run_python("import elman, sys; print(*sys.modules)"))
    assert "elman" in loaded
    assert not loaded & {*HEAVY, "numpy"}


def test_training_by_hand_loads_no_optional_library() -> None:
    code = (
        "import sys, numpy as np\n"
        "from elman import SGD, RnnlmTrainer, SimpleRnnlm\n"
        "ids = np.arange(50) % 7\n"
        "RnnlmTrainer(SimpleRnnlm(7, 3, 4), SGD(0.1)).fit(ids[:-1], ids[1:], 1, 2, 5)\n"
        "print(*sys.modules)"
    )
    assert not set(run_python(code)) & {"matplotlib", "torch", "pooch", "tqdm"}


def test_the_library_prints_nothing() -> None:
    code = (
        "import numpy as np\n"
        "from elman import Adam, RnnlmTrainer, RecurrentLM, evaluate\n"
        "ids = np.arange(50) % 7\n"
        "model = RecurrentLM(7, 3, 4, 'lstm')\n"
        "RnnlmTrainer(model, Adam()).fit(ids[:-1], ids[1:], 2, 2, 5, eval_interval=1)\n"
        "evaluate(model, ids)\n"
        "import elman, tempfile\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    small = {'hidden': 2, 'wordvec': 2, 'batch_size': 2, 'time_size': 4, 'epochs': 1}\n"
        "    run = elman.train(['a b c'] * 20, folder + '/run', options=small)\n"
        "    elman.train(['a b c'] * 20, folder + '/counted', model='ngram')\n"
        "    run.resume(epochs=2).history"
    )
    assert run_python(code) == []
