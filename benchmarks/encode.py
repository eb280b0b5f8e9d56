"""Time and peak memory of encoding a large text into ids: `python benchmarks/encode.py [GIGABYTES] [PROCESSES ...]`.

The text is PTB's training text (with $ELMAN_DATA) or the world rooms', repeated up to the size. The first table is
`encode_corpus`, in one process; the second `elman.encode`, with 1 and 2 processes unless others are named. The peak
memory is that of the largest process.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import elman
from elman import encode_corpus, make_tokenizer
from elman.errors import ElmanError
from elman.text import datasets

Result = tuple[int, float, float]


def encode(path: str, level: str, cache: str) -> Result:
    """Return tokens, seconds and this process's peak memory in MB."""
    began = time.perf_counter()
    corpus = encode_corpus([Path(path)], make_tokenizer(level), cache=Path(cache))
    return corpus.tokens, time.perf_counter() - began, peak_memory()


def encode_parts(path: str, level: str, folder: str, processes: int) -> Result:
    """Return tokens, seconds and the peak memory in MB of this process or the largest of the others."""
    began = time.perf_counter()
    corpus = elman.encode(path, Path(folder, f"{level}-{processes}"), level=level, processes=processes)
    return corpus.tokens, time.perf_counter() - began, peak_memory()


def peak_memory() -> float:
    """Return the peak memory in MB of this process or, if it is larger, of one of its children."""
    users = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(user).ru_maxrss for user in users) / 1024


def main() -> None:
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else 1) * 1e9)
    processes = [int(each) for each in sys.argv[2:]] or [1, 2]
    try:
        name = "ptb"
        (source,) = datasets.resolve(name)
    except ElmanError:
        name = "rooms"
        (source,) = datasets.resolve(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.txt")
        text = source.read_bytes()
        with path.open("wb") as file:
            for _ in range(size // len(text) + 1):
                file.write(text)
        megabytes = path.stat().st_size / 1e6
        print(f"{megabytes:,.0f} MB: {name}, repeated\n")
        print("| level | tokens | seconds | MB/s | peak memory, MB |\n| --- | --- | --- | --- | --- |")
        for level in ("word", "char", "byte"):
            print(row(level, megabytes, in_fresh_process(encode, str(path), level, folder)), flush=True)
        print(
            "\n| level, processes | tokens | seconds | MB/s | peak memory, MB |\n| --- | --- | --- | --- | --- |"
        )
        for level in ("word", "char", "byte"):
            for count in processes:
                result = in_fresh_process(encode_parts, str(path), level, folder, count)
                print(row(f"{level}, {count}", megabytes, result), flush=True)


def in_fresh_process(function: Callable[..., Result], *arguments: object) -> Result:
    # a pool's processes are daemons, which may not have children; an executor's may
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        return executor.submit(function, *arguments).result()


def row(name: str, megabytes: float, result: Result) -> str:
    tokens, seconds, peak = result
    return f"| {name} | {tokens:,} | {seconds:.1f} | {megabytes / seconds:.1f} | {peak:.0f} |"


if __name__ == "__main__":
    main()
