"""Scoring on a cluster of two nodes, which are processes of this machine; continuous integration installs Ray."""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
from elman import RecurrentLM, TextModel, Vocabulary, make_tokenizer
from elman.errors import ConfigError

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]
ray: Any = pytest.importorskip("ray")
data: Any = pytest.importorskip("ray.data")

WORDS = [f"w{k}" for k in range(60)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Start two nodes."""
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(Path(elman.__file__).parents[1]), str(Path(__file__).parents[1])]
    )
    memory = 80_000_000
    head = {"num_cpus": 2, "object_store_memory": memory, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    nodes.add_node(num_cpus=1, object_store_memory=memory)
    ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
    data.DataContext.get_current().enable_progress_bars = False
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vocabulary = Vocabulary([*WORDS, "<unk>", "<eos>"], eos="<eos>")
    network = RecurrentLM(len(vocabulary), 24, 24, "lstm", 1, rng=np.random.default_rng(0))
    folder = tmp_path_factory.mktemp("runs") / "lstm"
    TextModel(network, make_tokenizer("word"), vocabulary).save(folder)
    return folder


def some_lines(count: int) -> list[str]:
    rng = np.random.default_rng(1)
    return [" ".join(rng.choice(WORDS, rng.integers(0, 12))) for _ in range(count)]


def test_scores_are_those_of_one_machine_to_the_bit(cluster: Any, model: Path) -> None:
    lines = some_lines(3207)
    dataset = data.from_items(
        [{"key": f"k{n}", "text": line} for n, line in enumerate(lines)], override_num_blocks=13
    )
    rows = elman.ray.score(dataset, model).take_all()
    assert [row["key"] for row in rows] == [f"k{n}" for n in range(len(lines))]
    expected = elman.load(model).score_lines(lines).to_dict()
    for name in ("ln_prob", "log10_prob", "perplexity", "tokens", "unknown", "text"):
        assert [row[name] for row in rows] == expected[name], name
    assert [row["log10_prob"] for row in rows] == elman.load(model).scores(lines).tolist()


def test_a_killed_actor_loses_nothing_and_repeats_nothing(
    cluster: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "killed"
    dying = _dying(str(marker))
    monkeypatch.setattr(elman.ray, "_Score", dying)
    lines = some_lines(6000)
    dataset = data.from_items(
        [{"key": n, "text": line} for n, line in enumerate(lines)], override_num_blocks=6
    )
    rows = elman.ray.score(dataset, model, concurrency=2).take_all()
    assert marker.exists()
    assert [row["key"] for row in rows] == list(range(len(lines)))
    assert [row["log10_prob"] for row in rows] == elman.load(model).scores(lines).tolist()


def _dying(marker: str) -> Any:
    """Return the actor class, but with a process that is killed at its second batch, once."""
    base = elman.ray._Score

    class Dying(base):  # type: ignore[misc, valid-type]
        calls = 0

        def __call__(self, batch: Any) -> Any:
            import os
            import signal

            self.calls += 1
            if self.calls == 2:
                try:
                    os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
                except FileExistsError:
                    pass
                else:
                    os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(batch)

    return Dying


def test_surprisal_and_generation(cluster: Any, model: Path) -> None:
    lm, lines = elman.load(model), some_lines(30)
    dataset = data.from_items([{"text": line} for line in lines])
    rows = elman.ray.surprisal(dataset, lm).take_all()
    table = lm.surprisal(lines).to_dict()
    assert [word for row in rows for word in row["word"]] == table["word"]
    assert [bits for row in rows for bits in row["surprisal_bits"]] == table["surprisal_bits"]
    twice = data.from_items([{"text": line} for line in lines + lines])
    rows = elman.ray.generate(twice, lm, seed=3, length=5).take_all()
    written = [row["generated"] for row in rows]
    assert written[: len(lines)] == written[len(lines) :]
    assert all(text.startswith(line) for text, line in zip(written, lines, strict=False))
    assert len(set(written)) > len(lines) // 2


def test_lines_of_files(cluster: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.training.text_parts.PART", 15000)
    lines, path, page = some_lines(1500), tmp_path / "a.jsonl", tmp_path / "b.parquet"
    path.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines[:1000]))
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table({"text": lines[1000:]}), page)
    found = elman.ray.score(elman.ray.read_lines(path, page, column="text"), model)
    expected = elman.load(model).score_lines(lines).to_dict()
    assert [row["ln_prob"] for row in found.take_all()] == expected["ln_prob"]


def test_what_is_refused(cluster: Any, model: Path) -> None:
    dataset = data.from_items([{"body": "w1"}])
    with pytest.raises(ConfigError, match="the dataset has no column 'text'; its columns: 'body'"):
        elman.ray.score(dataset, model)
    with pytest.raises(ConfigError, match=r"`elman.ray.score` has no option `top`; it has unit, normalize"):
        elman.ray.score(dataset, model, "body", top=3)


def test_the_command(cluster: Any, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"{line}\n" for line in some_lines(50)))
    found = []
    for more in ([], ["--ray", cluster.address]):
        elman_main(["score", str(model), str(path), *more])
        found.append(capsys.readouterr().out)
    assert found[0] == found[1]
    assert math.isfinite(float(found[0].splitlines()[1].split("\t")[0]))


def elman_main(args: list[str]) -> None:
    from elman.cli import main

    main(args)
