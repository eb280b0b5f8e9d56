"""Kill -9 a random rank at random moments of a training under torchrun, which starts all ranks again.

``python benchmarks/kills_distributed.py --kills 30 --processes 2``. After the kills every run must end with the weights
of an undisturbed one, bit for bit. Kills fall anywhere: while Python starts, while rank 0 makes the run, during steps,
validation and checkpoints, and in the last moments. Needs Linux (/proc) and the extra `distributed`.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from elman.formats.model_file import read_arrays
from elman.formats.run_files import FILES
from elman.training.run_folder import load_checkpoint

TEXT = "tom was in the garden and ann came in .\nann said hi to tom and tom said hi to ann .\n" * 20
MODEL = [
    "--cell=lstm",
    "--wordvec=8",
    "--hidden=8",
    "--batch-size=4",
    "--time-size=8",
    "--dropout=0.2",
    "--no-choose",
]
OPTIONS = [*MODEL, "--epochs=40", "--schedule=cosine", "--valid=auto", "--allow-overlap", "--quiet"]
OPTIONS.append("--checkpoint-every=0.000001")  # after every update


def start(folder: Path, processes: int, restarts: int) -> subprocess.Popen[bytes]:
    """Start a training under torchrun; its messages go to a file."""
    launcher = ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc-per-node"]
    words = [*launcher, str(processes), "--max-restarts", str(restarts), "-m", "elman", "train"]
    words += [str(folder.parent / "corpus.txt"), "-o", str(folder), *OPTIONS]
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen([sys.executable, "-m", *words], stdout=log, stderr=log, env=environment)


def ranks_of(launcher: int) -> list[int]:
    """Return the processes that a launcher has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has just ended
            continue
        if parent == launcher:
            found.append(int(status.parent.name))
    return found


def iteration(folder: Path) -> int:
    """Return the iteration of the last checkpoint; -1 before the first."""
    path = folder / "last.safetensors"
    return int(load_checkpoint(path).training["progress"]["iteration"]) if path.exists() else -1


def trial(folder: Path, processes: int, kills: int, last: int, rng: random.Random) -> int:
    """Train with kills, a third of them while the processes start; return how many there were before the end."""
    launcher, done = start(folder, processes, kills), 0
    for _ in range(kills):
        reached = iteration(folder)
        target = reached + rng.randrange(1, last // kills) if rng.random() < 2 / 3 else reached
        while launcher.poll() is None and iteration(folder) < target:
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, 8.0 if target == reached else 0.1))
        ranks = ranks_of(launcher.pid)
        if launcher.poll() is not None or not ranks:
            break
        os.kill(rng.choice(ranks), signal.SIGKILL)
        done += 1
        print(f"{folder.name}: kill {done} after iteration {iteration(folder)}", flush=True)
        while launcher.poll() is None and set(ranks_of(launcher.pid)) & set(ranks):
            time.sleep(0.02)  # until the launcher has noticed
    code = launcher.wait()
    assert code == 0, f"{folder.name}: exit code {code}; see its log"
    return done


def check(folder: Path, expected: Path) -> None:
    ours, theirs = (read_arrays(each / "last.safetensors")[0] for each in (folder, expected))
    assert ours.keys() == theirs.keys()
    assert all((ours[name] == theirs[name]).all() for name in ours), f"{folder.name}: other weights"
    best = [(each / "model.safetensors").read_bytes() for each in (folder, expected)]
    assert best[0] == best[1], f"{folder.name}: another best model"
    assert sorted(each.name for each in folder.iterdir()) == sorted(FILES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--a-run", type=int, default=3, help="kills in one run, at most")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        (base / "corpus.txt").write_text(TEXT, encoding="utf-8")
        assert start(base / "undisturbed", given.processes, 0).wait() == 0
        last = iteration(base / "undisturbed")
        done = runs = 0
        while done < given.kills:
            runs += 1
            folder = base / f"run {runs}"
            done += trial(folder, given.processes, min(given.a_run, given.kills - done), last, rng)
            check(folder, base / "undisturbed")
        print(f"{done} kills in {runs} runs of {given.processes} processes: all ended with the same weights")


if __name__ == "__main__":
    main()
