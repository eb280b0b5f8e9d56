"""lm-evaluation-harness as a client: it measures over HTTP what `elman pairs` and `elman score` print."""

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elman.formats.model_file import save_model
from support.tiny import STORY, text_model

lm_eval = pytest.importorskip("lm_eval", reason='needs lm-evaluation-harness: pip install "lm-eval[api]"')
pytestmark = pytest.mark.filterwarnings("ignore")  # of the harness and the libraries it uses

GOOD = [*STORY.splitlines(), "tom said hi to mary .", "ann was in"]  # of different lengths
BAD = [" ".join(line.split()[::-1]) for line in GOOD[:-1]] + ["in ann was was"]
LEVELS = ("word", "char")
KEY = "a-secret"
COMMON = {"dataset_path": "json", "test_split": "test", "target_delimiter": "", "doc_to_text": ""}
TASKS: list[dict[str, Any]] = [
    {
        "task": "pairs",
        "output_type": "multiple_choice",
        "doc_to_choice": "{{[sentence_good + '\\n', sentence_bad + '\\n']}}",
        "doc_to_target": 0,
    },
    {"task": "lines", "output_type": "loglikelihood_rolling", "doc_to_target": "{{sentence_good + '\\n'}}"},
    {
        "task": "ends",
        "output_type": "loglikelihood",
        "doc_to_text": "{{sentence_good}}",
        "doc_to_target": "{{'\\n'}}",
    },
    {
        "task": "texts",
        "output_type": "generate_until",
        "doc_to_text": "{{sentence_good}}",
        "doc_to_target": "",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 7, "do_sample": False},
    },
]
Measured = tuple[str, dict[str, Any], dict[str, list[Any]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of each level and a file of minimal pairs."""
    path = tmp_path_factory.mktemp("harness")
    for level in LEVELS:
        save_model(path / f"{level}.safetensors", text_model(level))
    pairs = [{"sentence_good": g, "sentence_bad": b} for g, b in zip(GOOD, BAD, strict=True)]
    (path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    (path / "good.txt").write_text("".join(line + "\n" for line in GOOD), encoding="utf-8")
    return path


@pytest.fixture(scope="module", autouse=True)
def _offline(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
            patch.setenv(name, "1")
        patch.setenv("HF_HOME", str(folder / "hf"))
        patch.setenv("OPENAI_API_KEY", KEY)  # for completions; for tokens it uses auth_token
        yield


@pytest.fixture(scope="module", params=LEVELS)
def measured(request: pytest.FixtureRequest, start: Callable[..., Any], folder: Path) -> Measured:
    """The results of the harness: the level, the results, and the answers to each task in the order of the lines."""
    level = request.param
    process, address = start("--api-key", KEY, model=folder / f"{level}.safetensors")
    files = {"dataset_kwargs": {"data_files": {"test": str(folder / "pairs.jsonl")}}}
    found = lm_eval.simple_evaluate(
        model="local-completions",
        model_args={
            "base_url": f"{address}/v1/completions",
            "model": level,
            "tokenizer_backend": "remote",
            "auth_token": KEY,
            "batch_size": 4,
        },
        tasks=[COMMON | files | task for task in TASKS],
        log_samples=True,
        bootstrap_iters=0,
    )
    process.terminate()
    assert process.wait(120) == 0
    samples = {
        name: [sample["filtered_resps"] for sample in sorted(each, key=lambda s: s["doc_id"])]
        for name, each in found["samples"].items()
    }
    return level, found["results"], samples


@pytest.fixture
def elman(folder: Path) -> Callable[..., str]:
    """Run the command in the folder; return what it prints."""

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "elman", *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout

    return run


def test_pairs_have_the_accuracy_and_the_probabilities_of_the_command(
    measured: Measured, elman: Callable[..., str], folder: Path
) -> None:
    level, results, samples = measured
    options = ("--case", "asis", "--punctuation", "asis", "--json", "--per-pair", f"{level}.tsv")
    found = json.loads(elman("pairs", f"{level}.safetensors", "pairs.jsonl", *options))
    assert found["all"]["ties"] == 0
    assert results["pairs"]["acc,none"] == pytest.approx(found["all"]["accuracy"])
    head, *rows = (row.split("\t") for row in (folder / f"{level}.tsv").read_text().splitlines())
    for answers, row in zip(samples["pairs"], rows, strict=True):
        of_row = dict(zip(head, row, strict=True))
        wanted = [float(of_row["good_ln_prob"]), float(of_row["bad_ln_prob"])]
        assert [ln_prob for ln_prob, _ in answers] == pytest.approx(wanted, rel=1e-5)


def test_lines_have_the_probabilities_of_the_command(measured: Measured, elman: Callable[..., str]) -> None:
    level, results, samples = measured
    scores = elman("score", f"{level}.safetensors", "good.txt", "--json").splitlines()
    wanted = [json.loads(score)["ln_prob"] for score in scores]
    assert [answer[0] for answer in samples["lines"]] == pytest.approx(wanted, rel=1e-5)
    words = sum(len(line.split()) + 1 for line in GOOD)  # it counts the ends of lines too
    perplexity = math.exp(-sum(wanted) / words)
    assert results["lines"]["word_perplexity,none"] == pytest.approx(perplexity, rel=1e-4)


def test_a_continuation_has_the_probability_of_its_own_tokens(
    measured: Measured, elman: Callable[..., str]
) -> None:
    level, _, samples = measured
    options = ("--per-token", "--unit", "nats", "--json")
    tokens = map(json.loads, elman("score", f"{level}.safetensors", "good.txt", *options).splitlines())
    ends = {token["line"]: token for token in tokens}  # the last token of each line
    for ((ln_prob, greedy),), end in zip(samples["ends"], ends.values(), strict=True):
        assert ln_prob == pytest.approx(-end["surprisal_nats"], rel=1e-5)
        assert greedy == (end["rank"] == 1)


def test_texts_are_those_of_the_command(measured: Measured, elman: Callable[..., str]) -> None:
    level, _, samples = measured
    for line, (text,) in zip(GOOD, samples["texts"], strict=True):
        made = elman(
            "generate", f"{level}.safetensors", "--prompt", line, "--length", "7", "--greedy", "--json"
        )
        continued = json.loads(made)["text"].removeprefix(line)
        assert text.split() == continued.partition("\n")[0].split()
