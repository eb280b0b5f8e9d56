"""The openai package as a client. Other clients are in with_clients/."""

import pytest

PROMPT = "tom was watching tv in"


@pytest.mark.slow
def test_the_openai_package_works(address: str) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["story"]
        fields = {"model": "story", "prompt": PROMPT, "max_tokens": 6, "seed": 1}
        plain = client.completions.create(**fields)
        assert plain.usage.completion_tokens == 6
        stream = client.completions.create(**fields, stream=True, stream_options={"include_usage": True})
        *chunks, last = stream
        assert "".join(chunk.choices[0].text for chunk in chunks) == plain.choices[0].text
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
