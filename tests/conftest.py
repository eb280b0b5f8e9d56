"""Shared by all tests: reference data, a cache of their own, hypothesis without time limits, no leaking state."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from elman.models.parameters import CELLS

# A busy machine is not a failure: no time limits, and the same examples in every run.
settings.register_profile(
    "elman", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("elman")


@pytest.fixture
def data() -> Callable[[str], Path]:
    """Give the path of a file of reference data, as in ``data("ptb/ptb.train.txt")``, or skip the test."""

    def path_of(name: str) -> Path:
        folder = os.environ.get("ELMAN_DATA")
        if not folder:
            pytest.skip("ELMAN_DATA is not set: it names the folder of reference data")
        path = Path(folder) / name
        if not path.exists():
            pytest.skip(f"ELMAN_DATA holds no {name}")
        return path

    return path_of


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the user's cache and language; every process of pytest-xdist has a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELMAN_LANG", "en")
        patch.setenv("ELMAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _nothing_leaks() -> Iterator[None]:
    """Fail a test that leaves the process changed: the next one, in whatever order, must find it as it was.

    New environment variables are allowed unless they are elman's: libraries set some when they are imported.
    """
    before, environment = process_state(), dict(os.environ)
    yield
    assert process_state() == before
    del environment["PYTEST_CURRENT_TEST"]  # setup, call or teardown
    assert {name: os.environ.get(name) for name in environment} == environment
    assert {name for name in os.environ if name.startswith("ELMAN_")} <= environment.keys()


@pytest.fixture(autouse=True)
def _own_cells() -> Iterator[None]:
    """Forget the cells that a test, or a page of the documentation, adds."""
    before = dict(CELLS)
    yield
    CELLS.clear()
    CELLS.update(before)


def process_state() -> dict[str, Any]:
    """Return the working directory and the signal handlers."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    return {"directory": Path.cwd(), "handlers": handlers}
