"""`elman plot`: where the image is written, and what cannot be drawn."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Refused = Callable[..., str]


def test_image_is_written_to_the_first_run_or_output(command: Any, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "word", "mine")
    for options, path in (
        ([], "mine/curve.png"),
        (["-o", "new/both.svg", "--by", "minutes"], "new/both.svg"),
    ):
        outcome = command("plot", "mine", runs / "open", *options)
        assert (outcome.code, outcome.out, outcome.err) == (0, f"{path}\n", "")
        assert (tmp_path / path).stat().st_size > 5_000


def test_different_units_are_a_warning(command: Any, runs: Path) -> None:
    outcome = command("plot", runs / "word", runs / "char", "-o", "c.png")
    assert outcome.code == 0
    assert outcome.err.startswith(
        "elman: perplexities per character and per word cannot be compared; compare the bits"
    )


def test_bad_metrics_are_a_one_line_error(refused: Refused, runs: Path) -> None:
    shutil.copytree(runs / "word", "damaged")
    metrics = Path("damaged/metrics.jsonl")
    lines = metrics.read_text(encoding="utf-8").splitlines()
    metrics.write_text("\n".join([lines[0], lines[1][:9], *lines[2:]]))
    assert refused("plot", "damaged").startswith("damaged/metrics.jsonl, line 2 is not valid JSON")
    metrics.write_text(lines[0] + "\n")
    assert refused("plot", runs / "word", "damaged", "-o", "c.png").startswith(
        "damaged has no point to draw yet"
    )
    metrics.unlink()
    assert refused("plot", "damaged").startswith("damaged holds no metrics.jsonl: it is not a run")
    assert refused("plot", "gone").startswith("gone holds no metrics.jsonl")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("c.doc", "cannot draw a picture of kind 'doc' (c.doc); choose png, svg, pdf"),
        (
            "/proc/c.png",
            "cannot write the picture /proc/c.png: No such file or directory; choose another place with --output",
        ),
    ],
)
def test_unwritable_image_is_a_one_line_error(
    refused: Refused, runs: Path, output: str, message: str
) -> None:
    assert refused("plot", runs / "word", "-o", output) == message


def test_truncated_last_line_is_ignored(command: Any, runs: Path) -> None:
    shutil.copytree(runs / "word", "crashed")
    metrics = Path("crashed/metrics.jsonl")
    metrics.write_bytes(metrics.read_bytes()[:-9])
    assert command("plot", "crashed").code == 0
