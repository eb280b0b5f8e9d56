"""Shared by all tests: the reference data, a separate cache folder, and hypothesis without time limits."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# a busy machine is no failure
settings.register_profile("elman", deadline=None, suppress_health_check=[HealthCheck.too_slow])
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
    """Keep the tests out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELMAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
