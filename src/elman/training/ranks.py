"""The ranks of a training: the processes that train one model together, each on some sequences of every minibatch.

`Ranks` is what the trainer asks of them. The class itself is one process alone, for which nothing has to be sent;
`elman.training.process_group` is several, started by torchrun.
"""

import json
from collections.abc import Callable
from typing import Any

from elman.arrays import Array
from elman.errors import ConfigError

RANK = "RANK"  # the variables that torchrun sets for each process
WORLD_SIZE = "WORLD_SIZE"


class Ranks:
    """One process alone, and the base class of several.

    ``rank`` is this process's number, ``size`` how many there are. Every rank must make the same calls in the same
    order; numbers and arrays that are sent come out equal on all ranks, to the last bit.
    """

    rank = 0
    size = 1

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which writes the run folder and reports progress."""
        return self.rank == 0

    def rows(self, batch_size: int) -> slice:
        """Return which of N sequences are this rank's: a fixed part, equal up to one sequence.

        >>> Ranks().rows(20)
        slice(0, 20, None)
        """
        return rows_of(self.rank, self.size, batch_size)

    def sum(self, array: Array) -> Callable[[], None]:
        """Start to replace an array by its sum over all ranks; the function returned waits until it is there."""
        return lambda: None

    def largest(self, *numbers: float) -> list[float]:
        """Return the largest of each number over all ranks."""
        return [*numbers]

    def mark(self, marks: Array) -> Callable[[], None]:
        """Start to set the entries of marks (V,), 0 or 1, that any rank has set; the function returned waits."""
        return lambda: None

    def joined(self, rows: Array) -> Array:
        """Return the rows (n, ...) of all ranks below each other: (N, ...)."""
        return rows

    def together(self, task: Callable[[], Any]) -> list[Any]:
        """Run a task that may take long, or fail on some ranks only; return every rank's result, as plain data.

        Raises:
            FailedElsewhere: it has failed on another rank. Where it has failed here, its own exception is raised.
        """
        return [task()]

    def beat(self) -> None:
        """Show the others, from within a task that takes long, that this rank is at work."""

    def recall(self, name: str) -> str | None:
        """Return what was remembered under a name, also before all ranks were started again."""
        return None

    def remember(self, name: str, value: str) -> None:
        """Keep a value for as long as the job lives."""

    def leave(self) -> None:
        """End the communication."""


ALONE = Ranks()


def rows_of(rank: int, size: int, batch_size: int) -> slice:
    """Return the rows of one rank of N sequences.

    >>> [rows_of(rank, 3, 20) for rank in range(3)]
    [slice(0, 6, None), slice(6, 13, None), slice(13, 20, None)]

    Raises:
        ConfigError: there are fewer sequences than ranks.
    """
    if batch_size < size:
        raise ConfigError(
            f"a minibatch of {batch_size} sequences cannot be divided among {size} processes; set "
            f"`batch_size={size}` or more, or use fewer processes"
        )
    return slice(batch_size * rank // size, batch_size * (rank + 1) // size)


def division(size: int, batch_size: int) -> str:
    """Say how many sequences each of the ranks has.

    >>> division(2, 20), division(3, 20)
    ('2 processes of 10 sequences each', '3 processes of 6, 7 and 7 sequences')
    """
    parts = [rows_of(rank, size, batch_size) for rank in range(size)]
    counts = [part.stop - part.start for part in parts]
    if min(counts) == max(counts):
        return f"{size} processes of {counts[0]} sequences each"
    if size > 8:
        return f"{size} processes of {min(counts)} or {max(counts)} sequences"
    return f"{size} processes of {', '.join(map(str, counts[:-1]))} and {counts[-1]} sequences"


def first_difference(abouts: list[dict[str, Any]]) -> str | None:
    """Say where a rank differs from rank 0 in what must be the same on all, such as versions; None if nowhere."""
    for rank, about in enumerate(abouts):
        for name, value in about.items():
            if value != abouts[0][name]:
                return (
                    f"rank {rank} has another {name} than rank 0: {json.dumps(value, ensure_ascii=False)} instead of "
                    f"{json.dumps(abouts[0][name], ensure_ascii=False)}"
                )
    return None
