"""What the benchmarks of memory and of starting see of a process."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from memory import write_text
from watched import watch

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_memory_of_its_own_and_pages_of_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(40 << 20))
    wait = "; import time; time.sleep(0.1)"
    nothing = watch(python(f"pass{wait}"))
    own = watch(python(f"held = b'x' * (40 << 20){wait}"))
    code = f"import mmap; f = open({str(path)!r}, 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)"
    file = watch(python(f"{code}; m.find(b'x'){wait}"))
    assert own.own_mb - nothing.own_mb == pytest.approx(40, abs=4)
    assert own.peak_mb - nothing.peak_mb == pytest.approx(40, abs=4)
    assert own.files_mb - nothing.files_mb < 4
    assert file.files_mb - nothing.files_mb > 10
    assert file.own_mb - nothing.own_mb < 4


def test_the_first_step_is_seen_before_the_end(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time\n"
        "path = pathlib.Path(sys.argv[1], 'metrics.jsonl')\n"
        'path.write_text(\'{"kind": "start"}\\n\')\n'
        "time.sleep(0.1)\n"
        'path.write_text(\'{"kind": "interval"}\\n\')\n'
        "time.sleep(0.2)\n"
    )
    found = watch([*python(code), str(tmp_path)], tmp_path)
    assert found.first_step is not None
    assert 0.1 <= found.first_step < found.seconds
    assert watch(python("pass"), tmp_path / "no run").first_step is None


def test_a_command_that_fails_ends_the_benchmark_with_its_own_words() -> None:
    with pytest.raises(SystemExit, match=r"no such thing\n.*ended with 1"):
        watch(python("import sys; sys.exit('no such thing')"))


def test_the_text_has_every_word_once_at_least(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    write_text(path, 1)
    text = path.read_text(encoding="utf-8")
    assert 1e6 <= len(text) < 10e6
    assert len(set(text.split())) == 10_000
