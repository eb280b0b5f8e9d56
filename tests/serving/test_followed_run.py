"""The metrics of a run by number, while the file grows, is cut, and is written anew."""

import json
from pathlib import Path
from typing import Any

import pytest

from elman.errors import RunError
from elman.serving import followed_run
from elman.serving.followed_run import FollowedRun


def written(folder: Path, *numbers: int, mode: str = "a", end: str = "\n") -> None:
    lines = [json.dumps({"kind": "interval", "iteration": number}) for number in numbers]
    with (folder / "metrics.jsonl").open(mode, encoding="utf-8") as file:
        file.write("\n".join(lines) + end)


def iterations(answer: tuple[list[dict[str, Any]], int, bool]) -> tuple[list[int], int, bool]:
    lines, number, more = answer
    return [line["iteration"] for line in lines], number, more


def test_only_what_is_new_is_returned(tmp_path: Path) -> None:
    run = FollowedRun(tmp_path)
    written(tmp_path, 1, 2)
    assert iterations(run.lines(0)) == ([1, 2], 2, False)
    assert iterations(run.lines(2)) == ([], 2, False)
    written(tmp_path, 3, end="")  # its newline is missing: it is being written
    assert iterations(run.lines(2)) == ([], 2, False)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write("\n")
    assert iterations(run.lines(2)) == ([3], 3, False)
    assert iterations(run.lines(1)) == ([2, 3], 3, False)


def test_a_run_that_began_again_or_was_cut_is_read_anew(tmp_path: Path) -> None:
    run = FollowedRun(tmp_path)
    written(tmp_path, 1, 2, 3)
    run.lines(0)
    written(tmp_path, 7, mode="w")
    assert iterations(run.lines(3)) == ([], 1, False)  # fewer than the client has
    assert iterations(run.lines(0)) == ([7], 1, False)
    written(tmp_path, 1, 2, 300, 4, mode="w")  # longer than before, and other lines
    assert iterations(run.lines(2)) == ([300, 4], 4, False)
    other = tmp_path / "other"
    other.mkdir()
    written(other, 5, 6)
    (other / "metrics.jsonl").replace(tmp_path / "metrics.jsonl")
    assert iterations(run.lines(0)) == ([5, 6], 2, False)


def test_an_answer_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_run, "ANSWER_BYTES", 100)
    monkeypatch.setattr(followed_run, "PART", 7)  # lines end within parts and at their ends
    run, found, number, more = FollowedRun(tmp_path), [], 0, True
    written(tmp_path, *range(10), 10**200, *range(11, 30))
    while more:
        lines, number, more = run.lines(number)
        assert len(lines) == 1 or len(json.dumps(lines)) <= 120
        found += [line["iteration"] for line in lines]
    assert found == [*range(10), 10**200, *range(11, 30)]
    assert number == 30


def test_a_poll_reads_what_is_new_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = FollowedRun(tmp_path)
    written(tmp_path, *range(10_000))
    number = len(run.lines(0)[0])
    sizes: list[int] = []

    before = run.path.stat().st_size
    find = run._find_lines

    def counted(file: Any) -> None:
        class Counting:
            def read(self, size: int) -> bytes:
                part: bytes = file.read(size)
                sizes.append(len(part))
                return part

            seek, fileno = file.seek, file.fileno

        find(Counting())  # type: ignore[arg-type]

    monkeypatch.setattr(run, "_find_lines", counted)
    written(tmp_path, 10_000)
    assert iterations(run.lines(number)) == ([10_000], 10_001, False)
    assert sum(sizes) < 300 < before


@pytest.mark.parametrize("line", ["{", "[]", "{}", "[" * 100_000, "\ud800"])
def test_a_damaged_line_is_an_error(tmp_path: Path, line: str) -> None:
    written(tmp_path, 1)
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(line.encode("utf-8", "surrogatepass") + b"\n")
    run = FollowedRun(tmp_path)
    with pytest.raises(RunError, match="line 2"):
        run.lines(0)
    with pytest.raises(RunError, match="cannot read"):
        FollowedRun(tmp_path / "none").lines(0)
