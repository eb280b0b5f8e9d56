"""How many threads the BLAS may use: for small products one is faster than several."""

from collections.abc import Iterator
from contextlib import contextmanager

WORTH_SHARING = 100_000_000  # multiplications in the largest product, from which on several threads pay


@contextmanager
def suited_threads(multiplications: int) -> Iterator[None]:
    """Within the block, keep the BLAS to one thread unless the largest product is worth sharing.

    Waking threads for a product of a few microseconds costs more than it gains, many times so where the
    cores are shared with other work. A model that reads one token at a time makes no large products (0).
    """
    if multiplications >= WORTH_SHARING:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
