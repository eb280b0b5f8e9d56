"""The benchmark for GPUs runs on a CPU, too, and notices what it is there to notice."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

import gpu  # noqa: E402


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # by torch.compile, of its own tensors
def test_it_passes_on_a_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--device", "cpu", "--quick", "--seconds", "0.001"]) == 0
    printed = capsys.readouterr().out
    assert printed.endswith("All checks passed.\n")
    assert "Skipped: a step is recorded on a GPU only." in printed
    for workload in ("D", "E", "large"):
        table = printed.partition(f"### {workload}:")[2].partition("###")[0]
        left_out = f"Left out, since PyTorch has no LSTM in bf16 for this processor: {workload}, PyTorch, torch.compile"
        assert table.count("| PyTorch, torch.compile |") == 2 - table.count(left_out)
        if torch.backends.cpu.get_cpu_capability().startswith("AVX512"):  # oneDNN has an LSTM in bf16 for it
            assert not table.count(left_out)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
def test_it_passes_without_a_bf16_lstm(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "pytorch_has_lstm", lambda precision, device: precision == "float32")
    checks = gpu.Checks()
    tiny = replace(gpu.LARGE, V=20, D=8, H=8, N=2, T=3)
    gpu.compare_speed(tiny, "cpu", "eager", 0.001, {"float32": 1.0, "bf16": 1.0}, checks)
    printed = capsys.readouterr().out
    assert not checks.failures
    assert printed.count("Left out, since PyTorch has no LSTM in bf16 for this processor: ") == 2
    assert "| elman | bf16 |" in printed
    assert "| PyTorch | bf16 |" not in printed


@pytest.mark.parametrize("wrong", [False, True])
def test_the_recorded_step_is_compared(capsys: pytest.CaptureFixture[str], wrong: bool) -> None:
    checks = gpu.Checks()
    recordings: list[Any] = []

    def record(compute: Any) -> Any:
        recordings.append(compute)
        return (lambda: None) if wrong else compute

    gpu.compare_recorded("cpu", checks, record)
    cases = len(gpu.CELLS) * len(gpu.PRECISIONS)
    assert len(recordings) == 2 * cases  # one for each length of the blocks
    assert len(checks.failures) == (cases if wrong else 0)
    assert capsys.readouterr().out.count("| yes |") == cases


def test_a_step_that_cannot_be_recorded_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    def record(compute: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing")

    checks = gpu.Checks()
    gpu.compare_recorded("cpu", checks, record)
    assert len(checks.failures) == len(gpu.CELLS) * len(gpu.PRECISIONS)
    assert "not permitted" in checks.failures[0]
    assert "| no |" in capsys.readouterr().out


def test_without_a_gpu_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "no usable GPU" in capsys.readouterr().err


def test_what_does_not_fit_into_the_time_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    checks = gpu.Checks()
    checks.began -= gpu.LIMIT
    assert checks.late("the last workload")
    assert "Left out, since 420 s have passed: the last workload." in capsys.readouterr().out
