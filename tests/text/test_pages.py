"""Memory-mapped ids: a text that is read to its end does not stay in memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from elman.text.pages import let_go

READ = """
import sys
from pathlib import Path
import numpy as np
from elman.training.batches import Lanes
def resident_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
ids = np.memmap(sys.argv[1], np.uint32, mode="r")
lanes = Lanes(ids[:-1], ids[1:], 20, 5000)
lanes.next()
before = resident_mb()
total = sum(int(lanes.next()[0].sum()) for _ in range(lanes.blocks_per_epoch - 1))
print(resident_mb() - before, total)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system has no /proc")
def test_an_epoch_of_reading_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "ids"
    np.ones(24 << 20, np.uint32).tofile(path)  # 96 MB
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True)
    grown, total = map(float, done.stdout.split())
    assert total > 24e6
    assert grown < 30


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_what_is_let_go_is_there_again(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "ids"
    np.arange(100_000).tofile(path)
    ids = np.memmap(path, np.int64, mode=mode)
    expected = np.arange(100_000)
    if mode != "r":
        ids[7] = expected[7] = -1
    view = ids[1:][::2]
    let_go(view)
    np.testing.assert_array_equal(view, expected[1::2])


def test_an_ordinary_array_is_left_alone() -> None:
    ids = np.arange(5)
    let_go(ids)
    np.testing.assert_array_equal(ids, np.arange(5))
