"""The texts in a folder."""

from pathlib import Path

import pytest

from elman.errors import TextError
from elman.text.folders import texts_in


def made(folder: Path, **contents: bytes) -> Path:
    for name, content in contents.items():
        path = folder / name.replace("__", "/", 1).replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in texts_in(folder)]


def test_every_text_file_counts_whatever_its_ending(tmp_path: Path) -> None:
    made(
        tmp_path,
        b_log=b"1\n",
        a_md=b"# a\n",
        sub__README=b"read\n",
        wide_txt="a\n".encode("utf-16"),
        x_txt=b"",
    )
    assert names(tmp_path) == ["a.md", "b.log", "sub/README", "wide.txt"]


def test_binary_files_are_named_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made(tmp_path, a_txt=b"a\n", b_dat=b"x\0y", c_PNG=b"no zero here")
    assert names(tmp_path) == ["a.txt"]
    assert caplog.messages == [f"{tmp_path}: skipped what is not text: b.dat, c.PNG"]
    made(tmp_path, d_pdf=b"%PDF", e_zip=b"PK")
    texts_in(tmp_path)
    assert caplog.messages[-1].endswith("b.dat, c.PNG, d.pdf and 1 more")
    caplog.clear()
    texts_in(tmp_path, report=False)
    assert not caplog.records


def test_hidden_files_and_folders_are_skipped(tmp_path: Path) -> None:
    made(tmp_path, a_txt=b"a\n", _hidden=b"b\n", _git__c_txt=b"c\n")
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(
    "options",
    [{"run__config_toml": b"x = 1\n", "run__metrics_jsonl": b"{}\n"}, {"run___elman-lock": b"{}"}],
)
def test_runs_in_the_folder_are_skipped(tmp_path: Path, options: dict[str, bytes]) -> None:
    made(tmp_path, a_txt=b"a\n", run__text_txt=b"a copy\n", other__config_toml=b"not of a run\n", **options)
    assert names(tmp_path) == ["a.txt", "other/config.toml"]


def test_of_a_folder_that_is_a_run_only_its_files_are_skipped(tmp_path: Path) -> None:
    made(tmp_path, a_txt=b"a\n", config_toml=b"x = 1\n", metrics_jsonl=b"{}\n", sub__b_txt=b"b\n")
    assert names(tmp_path) == ["a.txt", "sub/b.txt"]


def test_a_folder_without_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="holds no text file"):
        texts_in(made(tmp_path, a_png=b"x"))
