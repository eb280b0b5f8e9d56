"""Whether memory depends on the size of the corpus: ``python benchmarks/memory.py [MEGABYTES ...]``.

`elman train` learns a small word model from texts of 100 MB and of 1000 MB (by default) for the same number
of blocks. A text is random words, by Zipf's law, a few megabytes of them repeated, so that all texts have the same
vocabulary. Every training is a new process, run once without and once with the text's ids in the cache. Last, an
epoch of blocks is read without training: that touches every page of the ids.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from elman.benchmark.machine import describe
from elman.benchmark.workloads import zipf
from tables import markdown
from watched import Watched, elman, watch

WORDS, LINE, REPEATED = 10_000, 21, 1_000_000
SIZES = ["--cell", "lstm", "--wordvec", "100", "--hidden", "100", "--batch-size", "20", "--time-size", "35"]
STARTS = ("nothing known", "ids in the cache", "an epoch of reading")
READ = """
import sys
from pathlib import Path
import numpy as np
from elman.training.batches import Minibatches
(path,) = Path(sys.argv[1]).glob("*.ids")
ids = np.memmap(path, np.uint16, mode="r")
minibatches = Minibatches(ids[:-1], ids[1:], 20, 35)
for _ in range(minibatches.blocks_per_epoch):
    minibatches.next()
"""


def write_text(path: Path, megabytes: int) -> None:
    """Write about ``megabytes`` of random words."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{k}" for k in range(WORDS)])
    drawn = np.concatenate((words, rng.choice(words, REPEATED, p=zipf(WORDS))))
    part = "".join(" ".join(drawn[k : k + LINE]) + "\n" for k in range(0, len(drawn), LINE)).encode()
    with path.open("wb") as file:
        for _ in range(max(1, round(megabytes * 1e6 / len(part)))):
            file.write(part)


def row(about: str, size: int, found: Watched) -> list[str]:
    first = "–" if found.first_step is None else f"{found.first_step:.2f}"
    memory = (found.peak_mb, found.own_mb, found.files_mb)
    return [about, f"{size / 1e6:,.0f}", first, f"{found.seconds:.1f}", *(f"{mb:.1f}" for mb in memory)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("megabytes", nargs="*", type=int, default=[100, 1000])
    parser.add_argument("--blocks", type=int, default=300, help="to train on (default 300)")
    given = parser.parse_args()
    rows = []
    for megabytes in given.megabytes:
        with tempfile.TemporaryDirectory() as folder:
            text = Path(folder, "text.txt")
            write_text(text, megabytes)
            size = text.stat().st_size
            for about in STARTS[:2]:
                print(f"… {megabytes} MB, {about}", file=sys.stderr, flush=True)
                run = Path(folder, about)
                limits = ["--iterations", str(given.blocks), "--report-every", "1", "-q"]
                rows.append(
                    row(about, size, watch(elman("train", str(text), "-o", str(run), *SIZES, *limits), run))
                )
            cache = str(Path(folder, ".elman-cache"))
            rows.append(row(STARTS[2], size, watch([sys.executable, "-c", READ, cache])))
    rows.sort(key=lambda cells: STARTS.index(cells[0]))
    print(f"# Memory: `elman train TEXT -o RUN {' '.join(SIZES)} --iterations {given.blocks}`\n")
    print(markdown(["machine", ""], [[key, str(value)] for key, value in describe().items()]))
    head = [
        "start",
        "text, MB",
        "s to the first step",
        "s in all",
        "peak memory, MB",
        "its own",
        "pages of files",
    ]
    print(markdown(head, rows))


if __name__ == "__main__":
    main()
