"""How many threads work at once: for small models one is faster than several."""

from collections.abc import Iterator
from contextlib import contextmanager

from elman.crew import many_hands

WORTH_SHARING = 100_000_000  # multiplications in the largest product, from which on several threads pay
MOST_HANDS = 8


@contextmanager
def suited_threads(multiplications: int) -> Iterator[None]:
    """Within the block, keep the BLAS to one thread, and share work among threads where it is worth it.

    Waking threads for a product of a few microseconds costs more than it gains, many times so where the
    cores are shared with other work. A model that reads one token at a time makes no large products (0).
    As many threads work at once (see `elman.crew`) as the BLAS was allowed to use: $OPENBLAS_NUM_THREADS or
    $OMP_NUM_THREADS limits them.
    """
    from threadpoolctl import ThreadpoolController

    blas = ThreadpoolController().select(user_api="blas")
    allowed = max((library["num_threads"] for library in blas.info()), default=1)
    sharing = multiplications >= WORTH_SHARING
    with many_hands(min(allowed, MOST_HANDS) if sharing else 1), blas.limit(limits=1):
        yield
