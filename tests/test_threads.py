"""How many threads a size of problem gets: one for the BLAS always, and hands for large products."""

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from elman import threads
from elman.crew import hands
from elman.threads import MOST_HANDS, WORTH_SHARING, suited_threads


def blas_threads() -> list[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    return [library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()]


@pytest.mark.parametrize("size", [0, WORTH_SHARING - 1, WORTH_SHARING, 10 * WORTH_SHARING])
@pytest.mark.parametrize("allowed", [1, 2])
def test_as_many_hands_as_the_blas_was_allowed_threads_where_it_is_worth_it(size: int, allowed: int) -> None:
    with threadpool_limits(allowed, user_api="blas"):
        before = blas_threads()
        with suited_threads(size):
            assert hands() == (max(before, default=1) if size >= WORTH_SHARING else 1)
            assert blas_threads() == [1] * len(before)
        assert blas_threads() == before
    assert hands() == 1


def test_there_are_never_more_hands_than_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "MOST_HANDS", 1)
    assert MOST_HANDS > 1
    with threadpool_limits(2, user_api="blas"), suited_threads(WORTH_SHARING):
        assert hands() == 1


def test_an_exception_leaves_everything_as_it_was() -> None:
    before = blas_threads()
    with pytest.raises(ValueError, match="within"), suited_threads(WORTH_SHARING):
        raise ValueError("within")
    assert blas_threads() == before
    assert hands() == 1
