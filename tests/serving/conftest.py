"""Servers in the process of the tests and in others, of models so small that an answer takes no time."""

import importlib.util
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.formats.model_file import save_model
from support.processes import serving

NEEDED = ("starlette", "uvicorn", "prometheus_client", "httpx")
if any(importlib.util.find_spec(name) is None for name in NEEDED):
    collect_ignore_glob = ["test_*.py"]
else:
    from starlette.testclient import TestClient

    from elman.serving.app import make_app
    from elman.serving.schemas import Limits
    from elman.serving.state import Models, ServedModel
    from support.tiny import text_model

LEVELS = ("word", "char", "jamo", "byte")


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[..., Any]]:
    """Start a server of models (by name) and return its client."""
    with ExitStack() as stack:

        def start(models: dict[str, Any], limits: Any = None, **options: Any) -> Any:
            served = [ServedModel(name, model, limits or Limits()) for name, model in models.items()]
            app = make_app(Models(served), limits, **options)
            return stack.enter_context(
                TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
            )

        yield start


@pytest.fixture(scope="session")
def models() -> dict[str, Any]:
    """A float32 model of each level, its recurrent weights small enough not to magnify rounding errors."""
    return {level: text_model(level, dtype=np.float32, D=24, H=40, weight_scale=0.15) for level in LEVELS}


@pytest.fixture(scope="session")
def client(serve: Any, models: dict[str, Any]) -> Any:
    """A client of a server of these models."""
    return serve(models)


@pytest.fixture(scope="session")
def complete(client: Any) -> Callable[..., Any]:
    """Request a completion, which must succeed; return the answer."""

    def ask(prompt: Any, **fields: Any) -> Any:
        answer = client.post("/v1/completions", json={"prompt": prompt, **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Start `elman serve` with ``model`` (default: story); return the process and its address."""
    story = tmp_path_factory.mktemp("models") / "story.safetensors"
    save_model(story, text_model())
    processes: list[subprocess.Popen[bytes]] = []

    def run(*options: str, model: Path = story) -> tuple[subprocess.Popen[bytes], str]:
        process, address = serving(model, "--port", "0", *options)
        processes.append(process)
        return process, address

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def address(start: Any) -> str:
    found: str = start()[1]
    return found
