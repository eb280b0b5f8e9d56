"""Time and peak memory of encoding a large text into ids: `python benchmarks/encode.py [GIGABYTES]`.

The text is PTB's training text (with $ELMAN_DATA) or the world rooms', repeated up to the size.
"""

import resource
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from elman import encode_corpus, make_tokenizer
from elman.errors import ElmanError
from elman.text import datasets


def encode(path: str, level: str, cache: str) -> tuple[int, float, float]:
    """Return tokens, seconds and this process's peak memory in MB."""
    began = time.perf_counter()
    corpus = encode_corpus([Path(path)], make_tokenizer(level), cache=Path(cache))
    return (
        corpus.tokens,
        time.perf_counter() - began,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def main() -> None:
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else 1) * 1e9)
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
        print(f"{path.stat().st_size / 1e9:.2f} GB: {name}, repeated\n")
        print("| level | tokens | seconds | peak memory, MB |\n| --- | --- | --- | --- |")
        for level in ("word", "char", "byte"):
            with get_context("spawn").Pool(1) as fresh_process:
                tokens, seconds, peak = fresh_process.apply(encode, (str(path), level, folder))
            print(f"| {level} | {tokens:,} | {seconds:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
