"""The measurements of memory and of start-up time that benchmarks take of another process."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.waiting import LONG

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import watched
from memory import write_text
from watched import Watched, watch

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")

LIMIT = f"import signal; signal.alarm({LONG:.0f}); "  # a process that hangs ends, and the test fails


def python(code: str) -> list[str]:
    return [sys.executable, "-c", LIMIT + code]


def memory_of(code: str) -> Watched:
    """Run code in another process, and look at the memory of the process before it ends."""
    wait = "\nprint('ready', flush=True); input()"
    with subprocess.Popen(python(code + wait), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        found = Watched()
        found.look(process.pid)
        process.communicate(b"end\n")
    assert process.returncode == 0
    return found


def test_memory_of_the_process_and_pages_of_files_are_separate(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(40 << 20))
    mapped = f"import mmap; f = open({str(path)!r}, 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)"
    nothing = memory_of("import mmap")
    own = memory_of("import mmap; data = b'x' * (40 << 20)")
    file = memory_of(f"{mapped}; m.find(b'x')")
    assert own.own_mb - nothing.own_mb == pytest.approx(40, abs=4)
    assert own.peak_mb - nothing.peak_mb == pytest.approx(40, abs=4)
    assert own.files_mb - nothing.files_mb < 4
    assert file.files_mb - nothing.files_mb > 10
    assert file.own_mb - nothing.own_mb < 4


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Callable[[], int]]:
    """Open the gate that the process waits at: one byte in the pipe ``gate``."""
    os.mkfifo(tmp_path / "gate")
    handle = os.open(tmp_path / "gate", os.O_RDWR)
    yield lambda: os.write(handle, b"x")
    os.close(handle)


def test_the_first_step_is_seen_before_the_end(
    tmp_path: Path, gate: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import pathlib, sys\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "gate = open(folder / 'gate', 'rb', buffering=0)\n"
        "(folder / 'metrics.jsonl').write_text('{\"kind\": \"start\"}\\n')\n"
        "gate.read(1)\n"
        "(folder / 'metrics.jsonl').write_text('{\"kind\": \"interval\"}\\n')\n"
        "gate.read(1)\n"
    )
    answers: list[bool] = []
    step_done = watched._step_done

    def look(run: Path) -> bool:
        answers.append(step_done(run))
        if len(answers) == 1 or answers[-1]:
            gate()
        return answers[-1]

    monkeypatch.setattr(watched, "_step_done", look)
    found = watch([*python(code), str(tmp_path)], tmp_path)
    assert answers[0] is False
    assert answers[-1] is True
    assert found.first_step is not None
    assert 0 < found.first_step <= found.seconds


def test_a_command_without_a_run_has_no_first_step(tmp_path: Path) -> None:
    assert watch(python("pass"), tmp_path / "no run").first_step is None


def test_a_command_that_fails_ends_the_benchmark_with_its_message() -> None:
    with pytest.raises(SystemExit, match=r"no such thing\n.*ended with 1"):
        watch(python("import sys; sys.exit('no such thing')"))


def test_the_text_has_every_word_at_least_once(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    write_text(path, 1)
    text = path.read_text(encoding="utf-8")
    assert 1e6 <= len(text) < 10e6
    assert len(set(text.split())) == 10_000
