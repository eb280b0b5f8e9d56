"""The metrics file: one line per event, complete or truncated."""

from pathlib import Path

import pytest

from elman.errors import RunError
from elman.formats.metrics_log import Metrics, read_metrics
from support.full_disk import files_of_at_most


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    return Metrics(tmp_path / "metrics.jsonl")


def test_lines_come_back_in_order(metrics: Metrics, tmp_path: Path) -> None:
    metrics.write("start", corpus="안녕.txt", tokens=7)
    metrics.write("epoch", epoch=1, perplexity=0.1 + 0.2)
    assert read_metrics(tmp_path) == [
        {"kind": "start", "corpus": "안녕.txt", "tokens": 7},
        {"kind": "epoch", "epoch": 1, "perplexity": 0.1 + 0.2},
    ]


def test_lines_after_a_checkpoint_are_cut_off(metrics: Metrics, tmp_path: Path) -> None:
    assert metrics.size == 0
    metrics.cut(0)
    metrics.write("interval", iteration=1)
    size = metrics.size
    assert size == (tmp_path / "metrics.jsonl").stat().st_size > 0
    metrics.write("interval", iteration=2)
    metrics.cut(size)
    assert [line["iteration"] for line in read_metrics(tmp_path)] == [1]
    metrics.cut(10 * size)  # a file that is shorter stays as it is
    assert metrics.size == size


def test_a_last_line_cut_short_by_a_crash_is_left_out(metrics: Metrics, tmp_path: Path) -> None:
    metrics.write("interval", iteration=1)
    metrics.write("start", corpus="안녕")
    whole = metrics.path.read_bytes()
    for length in range(len(whole) - 2, whole.index(b"\n"), -1):  # also in the middle of a character
        metrics.path.write_bytes(whole[:length])
        assert [line["kind"] for line in read_metrics(tmp_path)] == ["interval"]


def test_a_name_with_an_unusual_line_end_stays_one_line(metrics: Metrics, tmp_path: Path) -> None:
    metrics.write("start", corpus="a\u2028b\x85c\nd")
    metrics.write("epoch", epoch=1)
    assert [line["kind"] for line in read_metrics(tmp_path)] == ["start", "epoch"]


def test_damage_in_the_middle_is_named(metrics: Metrics, tmp_path: Path) -> None:
    metrics.path.write_text('{"kind": "a"}\n{"kind": \n{"kind": "c"}\n')
    with pytest.raises(RunError, match=r"metrics.jsonl, line 2 is not valid JSON"):
        read_metrics(tmp_path)


@pytest.mark.parametrize("line", ["[1]", "7", "{}"])
def test_a_line_that_is_not_an_event_is_named(metrics: Metrics, tmp_path: Path, line: str) -> None:
    metrics.path.write_text(f'{{"kind": "a"}}\n{line}\n')
    with pytest.raises(RunError, match=r"metrics.jsonl, line 2 has no kind of event"):
        read_metrics(tmp_path)


@pytest.mark.parametrize("line", ["[" * 100_000, "9" * 5_000, '{"kind": ' + "9" * 5_000 + "}"])
def test_hostile_lines_are_named(metrics: Metrics, tmp_path: Path, line: str) -> None:
    metrics.path.write_text(f'{{"kind": "a"}}\n{line}\n{{"kind": "b"}}\n')
    with pytest.raises(RunError, match=r"metrics.jsonl, line 2 is not valid JSON"):
        read_metrics(tmp_path)


def test_file_names_that_are_not_utf_8_can_be_logged(metrics: Metrics, tmp_path: Path) -> None:
    metrics.write("start", corpus="caf\udce9.txt")
    assert read_metrics(tmp_path) == [{"kind": "start", "corpus": "caf\udce9.txt"}]


def test_a_folder_without_metrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no metrics.jsonl: it is not a run"):
        read_metrics(tmp_path)


def test_a_file_that_cannot_be_written_is_an_error_where_a_checkpoint_relies_on_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics(tmp_path / "gone" / "metrics.jsonl")
    metrics.write("epoch", epoch=1)
    metrics.write("epoch", epoch=2)
    assert [record.getMessage() for record in caplog.records] == [
        f"cannot write {metrics.path}: no such file or directory; its lines are kept and written later"
    ]
    with pytest.raises(RunError, match=r"cannot write .*No such file"):
        metrics.sync()
    metrics.path.parent.mkdir()
    metrics.write("epoch", epoch=3)
    metrics.sync()
    assert [line["epoch"] for line in read_metrics(metrics.path.parent)] == [1, 2, 3]


def test_half_a_line_is_removed_before_more_is_written(metrics: Metrics, tmp_path: Path) -> None:
    metrics.write("interval", iteration=1)
    whole = metrics.path.read_bytes()
    metrics.path.write_bytes(whole + whole[:9])  # the checkpoint's length had been reached, but not the disk
    metrics.cut(2 * len(whole))
    metrics.write("interval", iteration=2)
    assert [line["iteration"] for line in read_metrics(tmp_path)] == [1, 2]


def test_a_disk_that_fills_up_within_a_line_leaves_no_half_of_it(metrics: Metrics, tmp_path: Path) -> None:
    metrics.write("interval", iteration=1)
    with files_of_at_most(metrics.size + 9):
        metrics.write("interval", iteration=2)
        assert metrics.size == len(b'{"kind": "interval", "iteration": 1}\n')
    metrics.sync()
    assert [line["iteration"] for line in read_metrics(tmp_path)] == [1, 2]
