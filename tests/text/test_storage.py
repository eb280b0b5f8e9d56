from pathlib import Path

import pytest

from elman.errors import TextError
from elman.text.storage import cache_folder, writing


def test_the_cache_is_where_the_user_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMAN_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("ELMAN_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine"
    monkeypatch.delenv("ELMAN_CACHE")
    assert "elman" in cache_folder().parts


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with writing(path) as file:
        file.write(b"old")

    def fail() -> None:
        with writing(path) as file:
            file.write(b"new")
            raise OSError(28, "No space left on device")

    with pytest.raises(TextError, match="file cannot be written: no space left on device; free space"):
        fail()
    assert path.read_bytes() == b"old"
    assert [each.name for each in path.parent.iterdir()] == ["file"]
