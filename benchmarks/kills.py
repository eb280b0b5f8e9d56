"""Kill -9 at random moments of training, resuming, replacing and mixing; and many starts at once into one folder.

``python benchmarks/kills.py --kills 200 --points 60 --rounds 24``. After each kill the folder must hold the whole old
run or the whole new one (or none, where there was none), and must end, resumed, with the weights of an undisturbed run,
bit for bit. Replacements are also killed before each of their first changes of a file. Of the simultaneous starts
exactly one must succeed, and its options and weights must match. Needs `os.fork`.
"""

import argparse
import collections
import contextlib
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # no threads that a fork would lose

import elman
from elman.errors import ElmanError, RunError
from elman.formats.model_file import read_arrays
from elman.models.mixture import Mixture

TEXT = "tom was in the garden and ann came in .\nann said hi to tom and tom said hi to ann .\n" * 20
COMMON: dict[str, Any] = {
    **{"cell": "lstm", "wordvec": 8, "batch_size": 4, "time_size": 8, "dropout": 0.2, "epochs": 4},
    **{
        "checkpoint_every": 1e-6,
        "schedule": "cosine",
        "choose": False,
        "valid": "auto",
        "allow_overlap": True,
    },
}
OLD, NEW = {**COMMON, "hidden": 8}, {**COMMON, "hidden": 12}
STARTS = 50


class Trials:
    """Folders with reference runs, and what is done to copies of them."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.rng, self.corpus, self.run = rng, folder / "corpus.txt", folder / "run"
        self.corpus.write_text(TEXT, encoding="utf-8")
        self.old, self.new, self.half = (folder / name for name in ("old", "new", "half"))
        elman.train(self.corpus, self.old, **OLD)
        began = time.perf_counter()
        elman.train(self.corpus, self.new, **NEW)
        self.seconds = time.perf_counter() - began
        elman.train(self.corpus, self.half, callback=lambda event: getattr(event, "iteration", 0) < 9, **NEW)
        self.outcomes: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)

    def train(self) -> str:
        """A new run is killed."""
        seconds = self.seconds * self.rng.choice([0.2, 1.0])
        self.killed(lambda: elman.train(self.corpus, self.run, **NEW), seconds)
        if not (self.run / "config.toml").exists() and not (self.run / ".elman-ready").exists():
            elman.train(self.corpus, self.run, **NEW)
            self.check_end(self.new)
            return "no run"
        self.finish(self.new)
        return "a run"

    def resume(self) -> str:
        """A resumed run is killed."""
        shutil.copytree(self.half, self.run)
        self.killed(lambda: elman.open_run(self.run).resume(iterations=0), self.seconds)
        self.finish(self.new)
        return "a run"

    def overwrite(self) -> str:
        """A run that replaces another one is killed."""
        shutil.copytree(self.old, self.run)
        seconds = self.seconds * self.rng.choice([0.3, 1.0])  # the replacement is at the beginning
        self.killed(lambda: elman.train(self.corpus, self.run, overwrite=True, **NEW), seconds)
        return self.replaced()

    def mix(self) -> str:
        """A mixture that replaces a run is killed."""
        shutil.copytree(self.old, self.run)
        models = [self.new / "model.safetensors", self.half / "last.safetensors"]
        self.killed(lambda: elman.mix(models, self.corpus, self.run, overwrite=True), self.seconds / 4)
        return self.replaced()

    def replaced(self) -> str:
        """Check that the folder holds one run, and that it ends as it should; return which."""
        model = elman.load(self.run).model
        if isinstance(model, Mixture):
            with contextlib.suppress(
                RunError
            ):  # there is nothing to resume, but what is unfinished is removed
                elman.open_run(self.run).resume()
            elman.load(self.run).save(self.run, overwrite=True)
            assert sorted(path.name for path in self.run.iterdir()) == ["model.safetensors"]
            return "the mixture"
        assert elman.open_run(self.run).options["hidden"] == model.hidden_size, "a mixed run"
        expected = self.old if model.hidden_size == OLD["hidden"] else self.new
        self.finish(expected)
        return "the old run" if expected == self.old else "the new run"

    def killed(self, action: Callable[[], Any], seconds: float) -> None:
        """Run an action in a process of its own, and kill it after a random part of the time that it takes."""
        child = os.fork()
        if child == 0:
            _quiet_exit(action)
        time.sleep(self.rng.uniform(0, 1.2 * seconds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    def finish(self, expected: Path) -> None:
        """Resume the run, and compare it with an undisturbed one."""
        try:
            elman.open_run(self.run).resume(iterations=0)
        except ElmanError as error:
            if "is finished" not in str(error):
                raise
        self.check_end(expected)

    def check_end(self, expected: Path) -> None:
        ours, theirs = (read_arrays(folder / "last.safetensors")[0] for folder in (self.run, expected))
        assert ours.keys() == theirs.keys()
        assert all((ours[name] == theirs[name]).all() for name in ours), "other weights"
        best = [(folder / "model.safetensors").read_bytes() for folder in (self.run, expected)]
        assert best[0] == best[1], "another best model"
        assert sorted(p.name for p in self.run.iterdir()) == sorted(p.name for p in expected.iterdir())

    def points(self, action: str, number: int) -> str:
        """A run or mixture that replaces a run is killed before the change of a file with this number."""
        shutil.copytree(self.old, self.run)
        models = [self.new / "model.safetensors", self.half / "last.safetensors"]
        actions: dict[str, Callable[[], Any]] = {
            "overwrite": lambda: elman.train(self.corpus, self.run, overwrite=True, **NEW),
            "mix": lambda: elman.mix(models, self.corpus, self.run, overwrite=True),
        }
        child = os.fork()
        if child == 0:
            _kill_before(number)
            _quiet_exit(actions[action])
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
        return self.replaced() if os.WIFSIGNALED(status) else "the end"

    def starts(self) -> str:
        """Many processes start at once into one new folder."""
        reading, writing = os.pipe()
        children = {}
        for number in range(STARTS):
            options = {**COMMON, "hidden": 4 + number, "epochs": 1, "checkpoint_every": 1e9}
            child = os.fork()
            if child == 0:
                os.close(writing)
                os.read(reading, 1)  # returns when the parent closes its end
                _quiet_exit(lambda options=options: elman.train(self.corpus, self.run, **options))
            children[child] = 4 + number
        os.close(reading)
        os.close(writing)
        codes = {
            hidden: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child, hidden in children.items()
        }
        (winner,) = (hidden for hidden, code in codes.items() if code == 0)
        assert set(codes.values()) == {0, 2}, codes
        last = read_arrays(self.run / "last.safetensors")[1]["model"]["hidden_size"]
        assert (
            elman.open_run(self.run).options["hidden"]
            == winner
            == last
            == elman.load(self.run).model.hidden_size
        )
        return "one wins"


def _kill_before(number: int) -> None:
    """End this process by kill -9 before it changes a file for the ``number``-th time."""
    left = number

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    for name in ("open", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "ftruncate", "truncate"):
        setattr(os, name, counted(getattr(os, name)))


def _quiet_exit(action: Callable[[], Any]) -> None:
    """End this process with 0, with 2 where the run was refused, or with 1."""
    try:
        action()
        os._exit(0)
    except RunError as error:
        refused = "being written" in str(error) or "already holds a run" in str(error)
        os._exit(2 if refused else 1)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="kills in all")
    parser.add_argument("--rounds", type=int, default=24, help=f"rounds of {STARTS} starts at once")
    parser.add_argument(
        "--points", type=int, default=60, help="kills before each of the first changes of a file"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.getLogger("elman").setLevel(logging.ERROR)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder), random.Random(given.seed))
        kinds = [trials.train, trials.resume, trials.overwrite, trials.mix]
        plan: list[tuple[str, Callable[[], str]]] = []
        plan += [(kinds[k % len(kinds)].__name__, kinds[k % len(kinds)]) for k in range(given.kills)]
        plan += [("starts", trials.starts)] * given.rounds
        for action in ("overwrite", "mix"):
            for number in range(1, given.points + 1):
                plan.append((f"{action}, every point", partial(trials.points, action, number)))
        for number, (name, trial) in enumerate(plan):
            shutil.rmtree(trials.run, ignore_errors=True)
            try:
                trials.outcomes[name][trial()] += 1
            except Exception:
                failures += 1
                trials.outcomes[name]["FAILED"] += 1
                print(f"trial {number}, {name}:", traceback.format_exc(), file=sys.stderr)
    for name, counts in trials.outcomes.items():
        print(f"{name:24}", ", ".join(f"{outcome}: {count}" for outcome, count in sorted(counts.items())))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
