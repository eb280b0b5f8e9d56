"""Completions: the fields of a request, and what they do to the answer."""

import json
import math
import unicodedata
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from elman.evaluation.surprisal import token_scores
from elman.models.ngram.model import NgramModel
from elman.serving.continuation import Penalties
from support.tiny import text_model

PROMPT = "tom was watching tv in"


def events(answer: Any) -> list[Any]:
    """The events of a stream, which must be closed by [DONE]."""
    *data, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(line.removeprefix("data: ")) for line in data]


@pytest.fixture(scope="module")
def stream(client: Any) -> Any:
    def ask(prompt: Any, **fields: Any) -> list[Any]:
        answer = client.post("/v1/completions", json={"prompt": prompt, "stream": True, **fields})
        assert answer.headers["content-type"].startswith("text/event-stream")
        return events(answer)

    return ask


def test_an_answer_has_the_fields_of_the_openai_api(complete: Any) -> None:
    answer = complete(PROMPT, max_tokens=3, user="someone")
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    assert answer["model"] == "word"
    (choice,) = answer["choices"]
    assert choice.keys() == {"index", "text", "logprobs", "finish_reason"}
    assert choice["text"].startswith((" ", "\n"))
    assert choice["finish_reason"] == "length"
    assert choice["logprobs"] is None
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


def test_a_seed_draws_the_same_text(complete: Any) -> None:
    def text(seed: int) -> str:
        found: str = complete(PROMPT, seed=seed, max_tokens=12)["choices"][0]["text"]
        return found

    assert text(1) == text(1) != text(2)


def test_text_ids_and_batches_are_the_same_prompt(complete: Any, models: Any) -> None:
    ids = models["word"].encode(PROMPT)[1].tolist()
    fields = {"seed": 5, "max_tokens": 8}
    (alone,) = complete(PROMPT, **fields)["choices"]
    for prompt in (ids, [PROMPT], [ids], ["mary", PROMPT], [[0], ids]):
        choices = complete(prompt, **fields)["choices"]
        assert [choice["index"] for choice in choices] == list(range(len(choices)))
        assert choices[-1]["text"] == alone["text"]


def test_greedy_tokens_are_the_most_probable(complete: Any, models: Any) -> None:
    model = models["char"]
    text = complete("tom ", model="char", temperature=0, max_tokens=5)["choices"][0]["text"]
    for place in range(5):
        (best,) = model.next_distribution("tom " + text[:place], top=1)
        assert text[place] == best[0]


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
def test_echoed_tokens_have_the_probabilities_of_their_surprisals(
    complete: Any, models: Any, level: str
) -> None:
    prompts = {"word": "tom  was in", "char": "tom was", "jamo": "한글 책에 있었다", "byte": "tom é"}
    prompt = prompts[level]
    (choice,) = complete(prompt, model=level, echo=True, logprobs=2, max_tokens=1, temperature=0)["choices"]
    scores = list(token_scores(models[level], prompt, eos=False))
    logprobs = choice["logprobs"]
    assert {len(column) for column in logprobs.values()} == {len(scores) + 1}  # the prompt and one more
    assert logprobs["token_logprobs"][0] is None
    assert logprobs["top_logprobs"][0] is None
    wanted = [-score.surprisal_bits * math.log(2) for score in scores[1:]]
    np.testing.assert_allclose(logprobs["token_logprobs"][1:-1], wanted, rtol=1e-4)
    assert logprobs["text_offset"][:-1] == [score.start for score in scores]
    assert logprobs["text_offset"][-1] == len(prompt)
    assert choice["text"].startswith(prompt)
    columns = zip(*(logprobs[name][1:] for name in ("tokens", "token_logprobs", "top_logprobs")), strict=True)
    for token, logprob, top in columns:
        assert top[token] == logprob  # bit by bit
        assert len(top) in (2, 3)
    assert logprobs["token_logprobs"][-1] == max(logprobs["top_logprobs"][-1].values())


def test_a_prompt_that_begins_with_the_end_of_a_line_begins_there_once(complete: Any, models: Any) -> None:
    scores = list(token_scores(models["word"], "tom was", eos=False))
    eos = models["word"].vocabulary.eos_id
    ids = [eos, *models["word"].encode("tom was")[1].tolist()]
    for prompt in (ids, "\ntom was"):
        (choice,) = complete(prompt, echo=True, logprobs=0, max_tokens=0)["choices"]
        found = choice["logprobs"]["token_logprobs"]
        assert found[0] is None
        np.testing.assert_allclose(
            found[1:], [-score.surprisal_bits * math.log(2) for score in scores], rtol=1e-4
        )


def test_zero_tokens(complete: Any) -> None:
    (choice,) = complete(PROMPT, max_tokens=0)["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("", "length")
    (choice,) = complete("", max_tokens=0, echo=True, logprobs=1)["choices"]
    assert choice["logprobs"]["tokens"] == []


def test_a_text_ends_before_a_stop_string(complete: Any, stream: Any) -> None:
    fields = {"model": "char", "seed": 3, "logprobs": 0}
    text = complete("tom", max_tokens=60, **fields)["choices"][0]["text"]
    stop = text[20:23]
    (choice,) = complete("tom", max_tokens=60, stop=["never", stop], **fields)["choices"]
    assert choice["text"] == text[: text.index(stop)]
    assert choice["finish_reason"] == "stop"
    assert "".join(choice["logprobs"]["tokens"]) == choice["text"]
    chunks = [event["choices"][0] for event in stream("tom", max_tokens=60, stop=stop, **fields)]
    assert "".join(chunk["text"] for chunk in chunks) == choice["text"]
    assert chunks[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize("level", ["word", "char", "jamo", "byte"])
def test_the_chunks_of_a_stream_are_the_answer(complete: Any, stream: Any, level: str) -> None:
    fields = {"model": level, "seed": 3, "logprobs": 1, "echo": True, "max_tokens": 40, "n": 2}
    prompt = "tom 톰" if level in ("byte", "jamo") else "tom"
    whole = complete(prompt, **fields)
    *found, last = stream(prompt, stream_options={"include_usage": True}, **fields)
    assert last["usage"] == whole["usage"]
    assert last["choices"] == []
    assert all(event["usage"] is None for event in found)
    for choice in whole["choices"]:
        chunks = [c for event in found for c in event["choices"] if c["index"] == choice["index"]]
        assert "".join(chunk["text"] for chunk in chunks) == choice["text"]
        for name, column in choice["logprobs"].items():
            assert [each for chunk in chunks for each in chunk["logprobs"][name]] == column
        assert [chunk["finish_reason"] for chunk in chunks if chunk["finish_reason"]] == ["length"]


def test_a_stream_never_cuts_a_character(client: Any, stream: Any, models: Any) -> None:
    korean = "안녕"
    raw = list(korean.encode())
    bias = {str(byte): 100 for byte in raw}
    found = stream("a", model="byte", max_tokens=60, logit_bias=bias, seed=1, temperature=0.5)
    assert any(event["choices"][0]["text"] for event in found)
    assert len("".join(event["choices"][0]["text"] for event in found)) < 60  # fewer characters than bytes


@pytest.mark.parametrize(
    ("prompt", "count", "stop", "chunks", "offsets"),
    [
        ("책.\n", 8, None, ["한", "글", " ", "ᄎ"], [0, 0, 0, 1, 1, 1, 2, 3]),
        ("책.\n", 2, None, ["하"], [0, 0]),
        ("하", 4, None, ["ᆫ", "글"], [0, 1, 1, 1]),  # displays join it to the prompt
        ([0, 1], 4, None, ["ᆫ", "글"], [0, 1, 1, 1]),
        ("책.\n", 60, "글", ["한"], [0, 0, 0]),
    ],
)
def test_syllables_are_written_when_they_are_complete(
    serve: Any, prompt: Any, count: int, stop: str | None, chunks: list[str], offsets: list[int]
) -> None:
    text = "한글 책.\n"
    model = text_model("jamo", text)
    ids = model.encode(text * 9)[1]
    counted = replace(model, model=NgramModel.train(ids, len(model.vocabulary), 5))
    client = serve({"jamo": counted})
    fields = {"prompt": prompt, "max_tokens": count, "stop": stop, "temperature": 0, "logprobs": 0}
    choice = client.post("/v1/completions", json=fields).json()["choices"][0]
    streamed = events(client.post("/v1/completions", json={**fields, "stream": True}))
    found = [event["choices"][0]["text"] for event in streamed]
    assert [chunk for chunk in found if chunk] == chunks
    assert choice["text"] == "".join(chunks)
    assert choice["logprobs"]["text_offset"] == offsets


@pytest.mark.parametrize("by_ids", [False, True])
def test_letters_of_an_echoed_prompt_have_the_place_of_their_syllable(
    complete: Any, models: Any, by_ids: bool
) -> None:
    text = "책을 읽은 나\n하"
    prompt = models["jamo"].encode(text)[1].tolist() if by_ids else text
    (choice,) = complete(prompt, model="jamo", echo=True, logprobs=0, max_tokens=0)["choices"]
    assert choice["text"] == text
    wanted = [k for k, character in enumerate(text) for _ in unicodedata.normalize("NFD", character)]
    assert choice["logprobs"]["text_offset"] == wanted


def test_biases_and_penalties_change_what_is_drawn(complete: Any, models: Any) -> None:
    id_ = models["word"].vocabulary.id("kitchen")
    (choice,) = complete(PROMPT, max_tokens=4, logit_bias={str(id_): 100})["choices"]
    assert choice["text"] == " kitchen" * 4
    (choice,) = complete(
        PROMPT, max_tokens=4, temperature=0, logit_bias={str(id_): 3}, presence_penalty=2, frequency_penalty=2
    )["choices"]
    assert choice["text"].count("kitchen") < 4
    (banned,) = complete(PROMPT, max_tokens=40, logit_bias={str(id_): -100})["choices"]
    assert "kitchen" not in banned["text"]


def test_top_k_and_top_p_leave_the_most_probable_token(complete: Any) -> None:
    (greedy,) = complete(PROMPT, temperature=0, max_tokens=6)["choices"]
    for fields in ({"top_k": 1}, {"top_p": 1e-9}):
        assert complete(PROMPT, max_tokens=6, **fields)["choices"][0]["text"] == greedy["text"]


def test_the_best_of_several_are_those_of_the_highest_mean_log_probability(complete: Any) -> None:
    fields = {"max_tokens": 6, "seed": 8, "logprobs": 0}
    every = complete(PROMPT, n=6, **fields)["choices"]
    means = {c["text"]: np.mean(c["logprobs"]["token_logprobs"]) for c in every}
    best = complete(PROMPT, n=2, best_of=6, **fields)
    assert [c["text"] for c in best["choices"]] == sorted(means, key=lambda text: -means[text])[:2]
    assert best["usage"]["completion_tokens"] == 36


def test_a_word_after_a_space_gets_no_second_space(complete: Any) -> None:
    plain, spaced = (
        complete(text, seed=1, max_tokens=3, echo=True)["choices"][0]["text"]
        for text in ("tom was", "tom was ")
    )
    assert plain == spaced


def test_penalties_are_those_of_the_counts() -> None:
    rng = np.random.default_rng(0)
    drawn, penalties = rng.integers(0, 60, 300).tolist(), Penalties(presence=0.5, frequency=0.25)
    for k, id_ in enumerate(drawn):
        penalties.add(id_)
        counts = np.bincount(drawn[: k + 1], minlength=60)
        scores = np.zeros(60)
        penalties.subtract_from(scores)
        assert scores.tolist() == (0.0 - (counts > 0) * 0.5 - counts * 0.25).tolist()
