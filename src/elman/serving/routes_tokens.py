"""GET /tokenizer_info, POST /tokenize and POST /detokenize."""

from starlette.requests import Request
from starlette.responses import Response

from elman.serving.bodies import body_of, json_answer
from elman.serving.prompts import Writer, check_ids, text_of
from elman.serving.schemas import DetokenizeRequest, RequestRefused, TokenizeRequest
from elman.serving.state import server_of
from elman.text_model import TextModel


async def tokenizer_info(request: Request) -> Response:
    """Tell of the tokenizer; ``?model=`` names the model."""
    server = server_of(request)
    text_model = server.models[request.query_params.get("model")].text_model
    return json_answer(
        {
            "tokenizer_class": f"elman/{text_model.tokenizer.level}",
            "level": text_model.tokenizer.level,
            "lower": text_model.tokenizer.lower,
            "vocab_size": len(text_model.vocabulary),
            "model_max_length": server.limits.prompt_tokens,
            "eos_token": eos_text(text_model),
            "eos_token_id": text_model.vocabulary.eos_id,
            "unk_token": text_model.vocabulary.unk,
            "bos_token": None,  # a text begins after the end of a line
            "pad_token": None,
            "chat_template": None,
        }
    )


def eos_text(text_model: TextModel) -> str | None:
    """Return the text of the token that ends a line, where the vocabulary has one."""
    return None if text_model.vocabulary.eos_id is None else "\n"


async def tokenize(request: Request) -> Response:
    """Answer with the ids of a text; -1 stands for a token that a closed vocabulary lacks."""
    asked = await body_of(request, TokenizeRequest)
    server = server_of(request)
    text_model = server.models[asked.model].text_model
    tokens, ids = text_model.encode(asked.prompt)
    names = None
    if asked.return_token_strs:
        writer = Writer(text_model)
        names = [
            token if id_ < 0 else writer.push(id_)[0] for token, id_ in zip(tokens, ids.tolist(), strict=True)
        ]
    return json_answer(
        {
            "tokens": ids.tolist(),
            "count": len(tokens),
            "max_model_len": server.limits.prompt_tokens,
            "token_strs": names,
        }
    )


async def detokenize(request: Request) -> Response:
    """Answer with the text of ids."""
    asked = await body_of(request, DetokenizeRequest)
    text_model = server_of(request).models[asked.model].text_model
    if len(asked.tokens) > (most := server_of(request).limits.prompt_tokens):
        message = f"there are {len(asked.tokens):,} tokens, this server takes {most:,} at most"
        raise RequestRefused(message, "tokens", "limit_exceeded")
    check_ids(text_model, asked.tokens, "tokens")
    return json_answer({"prompt": text_of(text_model, asked.tokens)})
