"""Clients that others wrote: the openai package, lm-evaluation-harness and schemathesis, where they are installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from elman.evaluation.scoring import score_line
from tiny import STORY, text_model

PROMPT = "tom was watching tv in"


def test_the_openai_package_is_served(address: str) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["story"]
        fields = {"model": "story", "prompt": PROMPT, "max_tokens": 6, "seed": 1}
        plain = client.completions.create(**fields)
        assert plain.usage.completion_tokens == 6
        stream = client.completions.create(**fields, stream=True, stream_options={"include_usage": True})
        *pieces, last = stream
        assert "".join(piece.choices[0].text for piece in pieces) == plain.choices[0].text
        assert last.usage == plain.usage
        echoed = client.completions.create(**fields | {"max_tokens": 1}, logprobs=1, echo=True, temperature=0)
        logprobs = echoed.choices[0].logprobs
        assert len(logprobs.tokens) == 6
        assert logprobs.token_logprobs[0] is None
        assert logprobs.token_logprobs[-1] == max(logprobs.top_logprobs[-1].values())
        with pytest.raises(openai.BadRequestError) as refusal:
            client.completions.create(**fields, suffix="x")
        assert refusal.value.param == "suffix"
        assert refusal.value.code == "unsupported_parameter"


@pytest.mark.filterwarnings("ignore")
def test_the_evaluation_harness_measures_what_elman_measures(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    lm_eval = pytest.importorskip("lm_eval")
    good = STORY.splitlines()
    bad = [" ".join(reversed(line.split())) for line in good]
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(
        "".join(json.dumps({"good": g, "bad": b}) + "\n" for g, b in zip(good, bad, strict=True))
    )
    common = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(pairs)}},
        "test_split": "test",
        "target_delimiter": "",
        "doc_to_text": "",
    }
    choices = "{{[good + '\\n', bad + '\\n']}}"
    tasks = [
        {"task": "pairs", "output_type": "multiple_choice", "doc_to_choice": choices, "doc_to_target": 0},
        {"task": "lines", "output_type": "loglikelihood_rolling", "doc_to_target": "{{good + '\\n'}}"},
        {
            "task": "texts",
            "output_type": "generate_until",
            "doc_to_target": "{{good}}",
            "generation_kwargs": {"until": ["\n"], "max_gen_toks": 5},
        },
    ]
    tasks[2]["doc_to_text"] = "{{good.split(' . ')[0] + ' .'}}"
    url = f"{address}/v1/completions"
    found = lm_eval.simple_evaluate(
        model="local-completions",
        model_args={"base_url": url, "model": "story", "tokenizer_backend": "remote", "batch_size": 3},
        tasks=[{**common, **task} for task in tasks],
        log_samples=True,
        bootstrap_iters=0,
    )
    model = text_model()
    scores = [[score_line(model, line).ln_prob for line in lines] for lines in (good, bad)]
    samples = {name: sorted(each, key=lambda s: s["doc_id"]) for name, each in found["samples"].items()}
    for k, sample in enumerate(samples["pairs"]):
        measured = [ln_prob for ln_prob, _ in sample["filtered_resps"]]
        assert measured == pytest.approx([scores[0][k], scores[1][k]], rel=1e-6)
    right = sum(g > b for g, b in zip(*scores, strict=True)) / len(good)
    assert found["results"]["pairs"]["acc,none"] == pytest.approx(right)
    rolling = [sample["filtered_resps"][0] for sample in samples["lines"]]
    assert rolling == pytest.approx(scores[0], rel=1e-6)
    assert all(isinstance(sample["filtered_resps"][0], str) for sample in samples["texts"])


def test_no_request_that_the_document_allows_or_forbids_is_an_error_of_the_server(address: str) -> None:
    pytest.importorskip("schemathesis")
    checks = "not_a_server_error,content_type_conformance"
    command = [
        "-m",
        "schemathesis.cli",
        "run",
        f"{address}/openapi.json",
        "--checks",
        checks,
        "--max-time",
        "4",
    ]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
