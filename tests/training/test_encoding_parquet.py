"""Parquet files and pyarrow's tables as corpora; continuous integration installs pyarrow, `make test` does not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
from elman import encode, encode_corpus, make_tokenizer
from elman.errors import ConfigError, TextError
from elman.evaluation.sentences import read_sentences
from elman.training import text_parts
from elman.training.text_parts import TextReader

pa: Any = pytest.importorskip("pyarrow")
parquet: Any = pytest.importorskip("pyarrow.parquet")

VALUES = [f"you say {k % 5} 말 " + ("e\u0301" if k % 3 else "") for k in range(90)]


@pytest.fixture
def table() -> Any:
    return pa.table({"id": list(range(90)), "text": VALUES})


@pytest.fixture
def folder(tmp_path: Path, table: Any) -> Path:
    folder = tmp_path / "pages"
    folder.mkdir()
    parquet.write_table(table.slice(0, 60), folder / "0.parquet", row_group_size=7)
    parquet.write_table(table.slice(0, 0), folder / "1.parquet")  # a shard without rows
    parquet.write_table(table.slice(60), folder / "2.parquet", row_group_size=100)
    return folder


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.txt"
    path.write_text("".join(f"{value}\n" for value in VALUES), "utf-8")
    return path


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
def test_a_folder_of_parquet_files(
    tmp_path: Path, folder: Path, plain: Path, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setattr(text_parts, "PART", 200)
    files = sorted(folder.iterdir())
    assert len(TextReader(level, False, "utf-8", "strict", "text").parts(files)) >= 8
    found = encode(folder, tmp_path / "ids", column="text", level=level)
    expected = encode_corpus([plain], make_tokenizer(level), cache=None)
    np.testing.assert_array_equal(found.ids, expected.ids)
    assert found.vocabulary == expected.vocabulary
    assert (found.lines, found.characters, found.words) == (
        expected.lines,
        expected.characters,
        expected.words,
    )


def test_what_is_wrong_with_a_file(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"0\.parquet has no column 'body'; its columns: 'id', 'text'"):
        encode(folder, tmp_path / "ids", column="body")
    with pytest.raises(ConfigError, match=r"0\.parquet is a Parquet file; name the column of the text"):
        encode(folder / "0.parquet", tmp_path / "ids")
    with pytest.raises(ConfigError, match=r"2\.parquet: row 1 of column 'id' must be a str, got 60"):
        encode(folder / "2.parquet", tmp_path / "ids", column="id")
    with pytest.raises(TextError, match=r"1\.parquet is empty"):
        encode(folder / "1.parquet", tmp_path / "ids", column="text")
    (folder / "1.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(TextError, match=r"1\.parquet is a damaged Parquet file"):
        encode(folder, tmp_path / "other", column="text")


def test_rows_are_numbered_in_the_whole_file(folder: Path) -> None:
    sentences = list(read_sentences(folder / "0.parquet", "text"))
    assert sentences[8] == (9, VALUES[8], {"id": 8})
    assert [each.kept for each in read_sentences(folder / "0.parquet", "text", keep=False)] == [{}] * 60


def test_tables_and_batches_are_corpora(tmp_path: Path, table: Any, folder: Path) -> None:
    dataset = pytest.importorskip("pyarrow.dataset").dataset(folder)
    forms = {
        "table": table,
        "batches": iter(table.to_batches(max_chunksize=8)),
        "reader": table.to_reader(),
        "dataset": dataset,
        "rows": iter(table.to_pylist()),
    }
    found = {name: encode(form, tmp_path / name, column="text").ids.tolist() for name, form in forms.items()}
    assert len({tuple(ids) for ids in found.values()}) == 1
    with pytest.raises(ConfigError, match="the table has no column 'body'"):
        encode(table, tmp_path / "other", column="body")
    with pytest.raises(ConfigError, match="name the column of the sentences: `column='id'`"):
        read_sentences(table)
    run = elman.train(
        table.to_reader(), tmp_path / "run", column="text", hidden=4, epochs=1, batch_size=2, time_size=5
    )
    assert run.to_dict()["tokens"] == len(found["table"])


def test_a_dataset_of_hugging_face(tmp_path: Path, folder: Path) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.Dataset.from_dict({"text": VALUES})
    expected = encode(folder, tmp_path / "ids", column="text")
    for name, form in {"whole": loaded, "streamed": loaded.to_iterable_dataset()}.items():
        np.testing.assert_array_equal(encode(form, tmp_path / name, column="text").ids, expected.ids)
