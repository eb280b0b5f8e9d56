"""GET /tokenizer_info, POST /tokenize and POST /detokenize."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from elman.serving.admission import AnswerSize, json_answer, read_request
from elman.serving.schemas import DetokenizeRequest, RequestRefused, TokenizeRequest, json_response
from elman.serving.state import server_of
from elman.serving.validation import check_characters, decode_ids
from elman.text.token_writer import TokenWriter


async def tokenizer_info(request: Request) -> Response:
    """Describe the tokenizer of ``?model=``."""
    server = server_of(request)
    text_model = server.models[request.query_params.get("model")].text_model
    return json_response(
        {
            "tokenizer_class": f"elman/{text_model.tokenizer.level}",
            "level": text_model.tokenizer.level,
            "lower": text_model.tokenizer.lower,
            "vocab_size": len(text_model.vocabulary),
            "model_max_length": server.limits.prompt_tokens,
            "eos_token": None if text_model.vocabulary.eos_id is None else "\n",
            "eos_token_id": text_model.vocabulary.eos_id,
            "unk_token": text_model.vocabulary.unk,
            "bos_token": None,  # a text begins after the end of a line
            "pad_token": None,
            "chat_template": None,
        }
    )


async def tokenize(request: Request) -> Response:
    """Return the ids of a text; -1 for a token that the vocabulary lacks."""
    server, size = server_of(request), AnswerSize(request)

    def prepare(body: TokenizeRequest) -> dict[str, Any]:
        text_model = server.models[body.model].text_model
        check_characters(text_model, body.prompt, "prompt", server.limits.most_entries)
        tokens, ids = text_model.encode(body.prompt)
        size.add("prompt", len(tokens), 1 if body.return_token_strs else 0)
        names = None
        if body.return_token_strs:
            writer = TokenWriter(text_model.tokenizer, text_model.vocabulary)
            names = [
                token if id_ < 0 else writer.push(id_)[0]
                for token, id_ in zip(tokens, ids.tolist(), strict=True)
            ]
        return {
            "tokens": ids.tolist(),
            "count": len(tokens),
            "max_model_len": server.limits.prompt_tokens,
            "token_strs": names,
        }

    answer = await read_request(request, TokenizeRequest, prepare)
    return await json_answer(server, size.entries, lambda: answer)


async def detokenize(request: Request) -> Response:
    """Return the text of ids."""
    server, size = server_of(request), AnswerSize(request)

    def prepare(body: DetokenizeRequest) -> dict[str, Any]:
        if len(body.tokens) > (limit := server.limits.prompt_tokens):
            message = f"tokens has {len(body.tokens):,} ids, the limit of this server is {limit:,}"
            raise RequestRefused(message, "tokens", "limit_exceeded")
        size.add("tokens", len(body.tokens))
        return {"prompt": decode_ids(server.models[body.model].text_model, body.tokens, "tokens")}

    answer = await read_request(request, DetokenizeRequest, prepare)
    return await json_answer(server, size.entries, lambda: answer)
