"""A cost model of training with several ranks: the seconds of an update, from computation, latency and bandwidth.

A rank computes for a fixed time on its own N·T tokens, and then the gradients are summed around a ring of R ranks: each
message makes 2(R−1) hops, and each rank sends 2(R−1)/R of its bytes. Nothing is taken to overlap, so the model errs on
the slow side. Of sparse gradients only the words that some rank has used are sent, and these become more with R.

Source of the ring's costs: P. Patarasuk and X. Yuan, Journal of Parallel and Distributed Computing 69 (2009).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from elman.benchmark.workloads import zipf


@dataclass(frozen=True)
class Work:
    """What one rank does for an update: ``tokens`` N·T, ``compute`` seconds, ``messages``, and the bytes it sends.

    These are ``fixed`` and, while an update has fewer tokens than there are words, ``per_word`` for every word used.
    """

    tokens: int
    compute: float
    messages: float
    fixed: float
    per_word: float = 0.0
    vocab_size: int = 1

    def bytes(self, ranks: int) -> float:
        """Return the bytes of all gradients that are summed."""
        return self.fixed + self.per_word * words_used(self.vocab_size, self.tokens * ranks)


@dataclass(frozen=True)
class Network:
    """Seconds that one hop of a message takes, and seconds per byte."""

    latency: float
    per_byte: float

    def __add__(self, other: "Network") -> "Network":
        return Network(self.latency + other.latency, self.per_byte + other.per_byte)


def words_used(vocab_size: int, tokens: int) -> float:
    """Return how many different words so many tokens have by Zipf's law; all, where the gradient is sent dense."""
    if tokens >= vocab_size:
        return float(vocab_size)
    return float((1 - (1 - zipf(vocab_size)) ** tokens).sum())


def hops(work: Work, ranks: int) -> float:
    return work.messages * 2 * (ranks - 1)


def traffic(work: Work, ranks: int) -> float:
    """Return the bytes that one rank sends."""
    return work.bytes(ranks) * 2 * (ranks - 1) / ranks


def communication(work: Work, ranks: int, network: Network, size: float = 1.0) -> float:
    """Return the seconds in which an update communicates; ``size``: 0.5 for float16 gradients."""
    return hops(work, ranks) * network.latency + size * traffic(work, ranks) * network.per_byte


def update_seconds(work: Work, ranks: int, network: Network, cores: int | None = None) -> float:
    """Return the seconds of one update; ``cores``: those that all ranks share on one machine."""
    turns = 1.0 if cores is None else max(1.0, ranks / cores)
    return turns * (work.compute + communication(work, ranks, network))


def blocks_needed(work: Work, ranks: int, network: Network, computing: float = 0.8, size: float = 1.0) -> int:
    """Return how many blocks an update must accumulate so that this fraction of the time is computation."""
    allowed = work.compute * (1 - computing) / computing
    return max(1, int(np.ceil(communication(work, ranks, network, size) / allowed - 1e-9)))


def most_ranks(work: Work, network: Network, limit: int = 1 << 16) -> int:
    """Return the largest power of 2 with which at least half of the time is computation; 1 if none, or the limit."""
    ranks = 1
    while ranks < limit and communication(work, 2 * ranks, network) <= work.compute:
        ranks *= 2
    return ranks


def fit(works: Sequence[Work], ranks: int, seconds: Sequence[float]) -> Network:
    """Return the network, none of its costs negative, that explains the seconds of updates best, relatively.

    Raises:
        ValueError: one work cannot tell latency from bandwidth.
    """
    if len(works) < 2:
        raise ValueError("two workloads are needed to tell latency from bandwidth")
    measured = np.array(seconds)  # (n,)
    left = 1 - np.array([work.compute for work in works]) / measured  # (n,)
    costs = np.array([[hops(work, ranks), traffic(work, ranks)] for work in works])  # (n, 2)
    costs /= measured[:, None]
    unit = costs.max(0)  # (2,): with it the columns have numbers of the same size
    costs /= unit
    candidates = [np.linalg.lstsq(costs, left)[0]]
    if candidates[0].min() < 0:  # then the best has only one of the two costs
        candidates = [
            np.maximum(c @ left / (c @ c), 0) * one for c, one in zip(costs.T, np.eye(2), strict=True)
        ]
    best = min(candidates, key=lambda found: float(((costs @ found - left) ** 2).sum()))  # (2,)
    latency, per_byte = (best / unit).tolist()
    return Network(latency, per_byte)
