"""Training in several processes, started by torchrun, by `train`, or each by itself."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import elman
from elman.errors import ConfigError, RunError
from elman.formats.model_file import read_arrays
from elman.training.process_group import ProcessRanks
from elman.training.ranks import ALONE
from elman.training.run import TrainingRun
from elman.training.shared_run import shared_run
from support import elman_rank, one_rank
from support.ranks import on_ranks
from support.runs import FILES, names
from support.tiny import STORY
from support.trained import VALID, Trained

torch = pytest.importorskip("torch")
distributed = pytest.importorskip("torch.distributed")
pytestmark = pytest.mark.torch

OPTIONS: dict[str, Any] = {
    **{
        "cell": "lstm",
        "dropout": 0.3,
        "wordvec": 5,
        "hidden": 6,
        "batch_size": 4,
        "time_size": 4,
        "lr": 0.02,
    },
    **{"epochs": 3, "report_every": 5, "checkpoint_every": 1e-6},
}
PATHS = [str(Path(elman.__file__).parents[1]), str(Path(one_rank.__file__).parents[1])]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), "OMP_NUM_THREADS": "1"}
PATIENCE = 300.0  # seconds; longer is a hang


def arguments(options: dict[str, Any]) -> list[str]:
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]


def torchrun(
    *words: object, happens: str = "nothing 0 0", restarts: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run elman in two processes under torchrun."""
    launcher = ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node", "2"]
    launcher += ["--max-restarts", str(restarts), elman_rank.__file__]
    return subprocess.run(
        [sys.executable, "-m", *launcher, *map(str, words)],
        env=ENVIRONMENT | {"HAPPENS": happens},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_text(STORY, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def expected(corpus: Path) -> Path:
    """The run of two ranks that are threads: as a + b = b + a, its weights are those of two processes to the bit."""
    folder = corpus.parent / "expected"
    run_of_threads(folder, corpus)
    return folder


def run_of_threads(folder: Path, corpus: Path) -> None:
    from elman.training.launch import new_run

    how: dict[str, Any] = {"column": None, "recipe": None, "valid": None, "init_from": None, "choose": False}
    how |= {"extend_vocab": False, "allow_overlap": False, "overwrite": False, "progress": False}

    def work(ranks: Any) -> None:
        with shared_run(ranks, folder, lambda: new_run(str(corpus), folder, OPTIONS, **how)) as run:
            run.train()

    on_ranks(2, work)


def assert_same_weights(folder: Path, expected: Path) -> None:
    ours, theirs = (read_arrays(each / "last.safetensors")[0] for each in (folder, expected))
    assert ours.keys() == theirs.keys()
    for name in theirs:
        assert np.array_equal(ours[name], theirs[name]), name
    assert names(folder) == FILES


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes of `one_rank` have written."""
    folder = tmp_path_factory.mktemp("ranks")
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, one_rank.__file__, str(folder)],
            env=ENVIRONMENT | place | {"RANK": str(rank), "TORCHELASTIC_USE_AGENT_STORE": "True"},
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return folder


@pytest.mark.parametrize("name", one_rank.NAMES)
def test_two_processes_train_like_one(of_ranks: Path, name: str) -> None:
    alone = Trained(ALONE, one_rank.model_of(name), valid=VALID, eos=7)
    rtol = 1e-4 if name == "in torch" else 1e-10
    for rank in range(2):
        with np.load(of_ranks / f"{name} {rank}.npz") as found:
            assert_allclose(found["losses"], alone.losses, rtol=rtol)
            assert_allclose(found["valid"], alone.valid, rtol=rtol)
            for k, weight in enumerate(alone.weights):
                assert_allclose(found[f"weight {k}"], np.asarray(weight), rtol=rtol, atol=rtol)
            for state, array in alone.state.to_arrays().items():
                assert_allclose(found[f"state {state}"], np.asarray(array), rtol=rtol, atol=rtol)


def test_ranks_hand_over_results_errors_and_memories(of_ranks: Path) -> None:
    first, second = (json.loads((of_ranks / f"found {rank}.json").read_text()) for rank in range(2))
    assert first["results"] == second["results"] == [{"rank": 0}, {"rank": 1}]
    assert first["elsewhere"] == "rank 1 of 2 has failed: what went wrong"
    assert second["here"] == "what went wrong"
    assert first["memory"] is None
    assert first["remembered"] == second["remembered"] == "value"


def test_a_rank_that_hangs_is_named(of_ranks: Path) -> None:
    messages = (of_ranks / "lost.txt").read_text().splitlines()
    assert len(messages) == 2  # while others do a long task, and during an update
    for message in messages:
        assert message.startswith("rank 0 of 2: no answer from rank 1, which has ended or hangs (")
        assert re.search(r"rank 1 is process \d+ on .+\); the last checkpoint stays$", message)


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
        monkeypatch.setenv("MASTER_PORT", str(port))
        with pytest.raises(
            RunError, match=rf"rank 0 cannot listen at 127.0.0.1:{port} .* choose another port"
        ):
            ProcessRanks(0, 2, timeout=2.0)


def test_a_rank_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    store = distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    with pytest.raises(RunError, match=r"rank 0 of 3: rank 1, 2 did not start within 0.05 s"):
        ProcessRanks(0, 3, timeout=0.05)


def test_train_starts_processes_and_resumes_with_one(corpus: Path, tmp_path: Path, expected: Path) -> None:
    folder = tmp_path / "run"
    words = ["train", corpus, "-o", folder, "--processes", 2, "--no-choose", *arguments(OPTIONS)]
    done = subprocess.run(
        [sys.executable, "-m", "elman", *map(str, words)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{folder}: best training perplexity ")
    assert done.stderr.count("2 processes of 2 sequences each") == 1
    assert done.stderr.count("epoch 3: perplexity") == 1
    assert_same_weights(folder, expected)
    run = TrainingRun.resume(folder, {"epochs": 4})
    run.train()
    assert run.trainer.progress.epoch == 4


def test_a_rank_that_is_killed_changes_nothing(corpus: Path, tmp_path: Path, expected: Path) -> None:
    words = ["train", corpus, "-o", tmp_path / "run", "--no-choose", *arguments(OPTIONS)]
    done = torchrun(*words, happens="killed 1 7", restarts=1)
    assert done.returncode == 0, done.stderr
    assert "resuming after iteration" in done.stderr
    assert_same_weights(tmp_path / "run", expected)


def test_two_torchruns_meet_as_two_machines_do(corpus: Path, tmp_path: Path, expected: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path / "run"
    words = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    words += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "news"]
    words += [
        "--local-addr",
        "127.0.0.1",
        "-m",
        "elman",
        "train",
        str(corpus),
        "-o",
        str(folder),
        "--no-choose",
    ]
    machines = [
        subprocess.Popen([*words, *arguments(OPTIONS)], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        errors = [machine.communicate(timeout=PATIENCE)[1] for machine in machines]
    finally:
        for machine in machines:
            machine.kill()
    assert [machine.returncode for machine in machines] == [0, 0], errors
    assert "".join(errors).count("2 processes of 2 sequences each") == 1
    assert_same_weights(folder, expected)


def test_ctrl_c_saves_for_all(corpus: Path, tmp_path: Path, expected: Path) -> None:
    folder = tmp_path / "run"
    done = torchrun(
        *["train", corpus, "-o", folder, "--no-choose", *arguments(OPTIONS)], happens="interrupted 0 5"
    )
    assert "stopped and saved after iteration" in done.stderr, done.stderr
    done = torchrun("train", "--resume", folder)
    assert done.returncode == 0, done.stderr
    assert_same_weights(folder, expected)


def test_what_train_refuses(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(message: str, **how: Any) -> None:
        with pytest.raises(ConfigError, match=message):
            elman.train(corpus, tmp_path / "run", **how)
        assert not (tmp_path / "run").exists()

    refused("`processes` must be an integer ≥ 1, got 0", processes=0)
    refused("other processes cannot call a `callback`", processes=2, callback=print)
    refused("n-gram models are counted in one pass", processes=2, model="ngram")
    refused("a minibatch of 3 sequences cannot be divided among 4", processes=4, batch_size=3, choose=False)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused("torchrun has started this process as one of 2; leave out `processes`", processes=2)
    with pytest.raises(ConfigError, match="name the run folder, which all processes must share: `output`"):
        elman.train(corpus)
