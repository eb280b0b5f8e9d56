"""Surprisals, next tokens and ranks over HTTP are those of the library."""

import math
from typing import Any

import numpy as np
import pytest

from elman.evaluation.line_scores import score_line
from elman.evaluation.surprisal import token_scores

LINES = ["tom was watching tv in his room .", "", "mary said hi"]


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
@pytest.mark.parametrize(("bos", "eos"), [(True, True), (False, False)])
def test_scores_are_those_of_the_library(client: Any, models: Any, level: str, bos: bool, eos: bool) -> None:
    body = {"text": LINES, "model": level, "bos": bos, "eos": eos}
    answer = client.post("/score", json=body).json()
    for line, result in zip(LINES, answer["results"], strict=True):
        wanted = list(token_scores(models[level], line, bos, eos))
        assert [t["rank"] for t in result["tokens"]] == [t.rank for t in wanted]
        assert [(t["start"], t["end"]) for t in result["tokens"]] == [(t.start, t.end) for t in wanted]
        for name in ("surprisal_bits", "entropy_bits"):
            np.testing.assert_allclose(
                [t[name] for t in result["tokens"]], [getattr(t, name) for t in wanted], rtol=1e-4
            )
        if bos and eos:
            assert result["ln_prob"] == pytest.approx(score_line(models[level], line).ln_prob, rel=1e-5)


def test_a_token_outside_the_vocabulary_has_probability_zero(client: Any) -> None:
    (result,) = client.post("/score", json={"text": "tom zeppelin was", "top": 3}).json()["results"]
    assert result["ln_prob"] is None
    assert [token["unknown"] for token in result["tokens"]] == [False, True, False, False]
    assert result["tokens"][1]["surprisal_bits"] is None
    assert result["tokens"][1]["token"] == "zeppelin"
    assert [len(token["top"]) for token in result["tokens"]] == [3] * 4


def test_next_tokens_are_those_of_the_library(client: Any, models: Any) -> None:
    answer = client.post("/next", json={"prompt": "tom was", "top": 4}).json()
    wanted = models["word"].next_distribution("tom was", top=4)
    assert [each["token"].strip() for each in answer["candidates"]] == [token for token, _ in wanted]
    np.testing.assert_allclose(
        [each["probability"] for each in answer["candidates"]], [p for _, p in wanted], rtol=1e-4
    )


def test_sampling_options_change_the_next_tokens(client: Any) -> None:
    def candidates(**options: Any) -> list[Any]:
        found: list[Any] = client.post("/next", json={"prompt": "tom", "top": 100, **options}).json()[
            "candidates"
        ]
        return found

    assert [len(candidates(top_k=3)), len(candidates(temperature=0)), len(candidates(top_p=1e-9))] == [
        3,
        1,
        1,
    ]
    assert sum(each["probability"] for each in candidates(temperature=2, top_k=5)) == pytest.approx(1)
    cold, warm = (candidates(temperature=t)[0]["probability"] for t in (0.5, 2))
    assert cold > warm


def test_candidates_are_ranked_by_probability(client: Any, models: Any) -> None:
    candidates = ["was tom in tv", "tom was in his room", "zeppelin"]
    answer = client.post("/rescore", json={"candidates": candidates}).json()["candidates"]
    lines = [score_line(models["word"], text).ln_prob for text in candidates]
    assert [each["index"] for each in answer] == sorted(range(3), key=lambda k: -lines[k])
    for each in answer[:2]:
        assert each["ln_prob"] == pytest.approx(lines[each["index"]], rel=1e-5)
    assert answer[2]["ln_prob"] is None
    assert answer[2]["unknown"] == 1


def test_a_context_is_read_and_not_scored(client: Any, models: Any) -> None:
    body = {"context": "tom was watching", "candidates": ["tv in", "hi"], "eos": False}
    for each in client.post("/rescore", json=body).json()["candidates"]:
        whole = list(token_scores(models["word"], f"{body['context']} {each['text']}", eos=False))[3:]
        ln_prob = -sum(token.surprisal_bits for token in whole) * math.log(2)
        assert each["ln_prob"] == pytest.approx(ln_prob, rel=1e-4)


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
def test_tokens_and_back(client: Any, models: Any, level: str) -> None:
    text = "tom was\nin his room" if level != "byte" else "tom 톰"
    answer = client.post("/tokenize", json={"prompt": text, "model": level, "return_token_strs": True}).json()
    assert answer["tokens"] == models[level].encode(text)[1].tolist()
    assert answer["count"] == len(answer["tokens"]) == len(answer["token_strs"])
    back = client.post("/detokenize", json={"tokens": answer["tokens"], "model": level}).json()
    assert back["prompt"] == text


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
def test_the_end_of_a_line_has_one_id(client: Any, models: Any, level: str) -> None:
    info = client.get("/tokenizer_info", params={"model": level}).json()
    tokens = client.post(
        "/tokenize", json={"prompt": info["eos_token"], "model": level, "add_special_tokens": False}
    ).json()["tokens"]
    assert tokens == [info["eos_token_id"]] == [models[level].vocabulary.eos_id]
    assert info["bos_token"] is None


def test_an_unknown_word_has_the_id_minus_one(client: Any) -> None:
    assert client.post("/tokenize", json={"prompt": "test"}).json()["tokens"] == [-1]
