"""Run folders that hold one model."""

from pathlib import Path

import pytest

from elman.errors import RunError
from elman.formats.run_files import check_run_folder, save_run
from elman.text_model import load
from support.tiny import text_model


def test_a_saved_model_replaces_an_earlier_run(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "run"
    check_run_folder(folder, overwrite=False)
    save_run(folder, text_model())
    (folder / "metrics.jsonl").write_text("{}\n", encoding="utf-8")
    (folder / "notes.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(RunError, match="already holds a run; replace it with `overwrite=True`"):
        check_run_folder(folder, overwrite=False)
    with pytest.raises(RunError, match="already holds a run"):
        save_run(folder, text_model())
    check_run_folder(folder, overwrite=True)
    save_run(folder, text_model(), overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "notes.txt"]
    assert len(load(folder).vocabulary) == 24
