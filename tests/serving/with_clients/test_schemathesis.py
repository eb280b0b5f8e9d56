"""schemathesis as a client: it sends what the OpenAPI document allows and forbids to every endpoint."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from elman.formats.metrics_log import Metrics
from support.waiting import LONG

pytest.importorskip("schemathesis", reason='needs schemathesis: pip install "schemathesis>=4"')

# a text model refuses more than a schema can express: unknown words, ids outside the vocabulary, a suffix
NOT_CHECKED = "positive_data_acceptance"
NAMES = '[parameters]\n"path.name" = "story"\n'  # of the model, and of the run that is watched


def test_no_request_makes_the_server_fail_or_break_its_own_document(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    run = tmp_path / "story"
    run.mkdir()
    Metrics(run / "metrics.jsonl").write("epoch", epoch=1)
    (tmp_path / "schemathesis.toml").write_text(NAMES, encoding="utf-8")
    process, address = start("--watch", str(run), "--max-tokens", "500")
    bounds = ["--phases", "coverage,fuzzing", "--max-examples", "20", "--seed", "1"]
    checks = ["--checks", "all", "--exclude-checks", NOT_CHECKED]
    once = ["--generation-database", "none", "--request-timeout", "60", "--no-color"]
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json"]
    done = subprocess.run(
        [*command, *bounds, *checks, *once], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout
    counts = re.search(r"Selected: (\d+)/(\d+)\s+Tested: (\d+)", done.stdout)
    assert counts is not None, done.stdout
    assert counts[1] == counts[2] == counts[3], done.stdout
    health = httpx.get(f"{address}/health", timeout=LONG).json()
    assert (health["status"], health["streams"], health["sequences_busy"]) == ("ok", 0, 0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LONG) == 0
    assert process.stderr.read() == b""
