"""GET /inside/models, POST /inside, /units, /through-time, /influence, /examples, /unroll: inside a network.

Everything runs in the side thread and nothing is shared with an engine but the weights: each request gets layers of
its own to read with.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from elman.errors import ElmanError
from elman.inspection.examples import opening, pairs
from elman.inspection.influence import influence
from elman.inspection.network import NoHiddenUnits, recurrent, summary
from elman.inspection.text_properties import EncodedText, Span, property_of
from elman.inspection.through_time import through_time
from elman.inspection.trace import checked_layer, checked_what, trace
from elman.inspection.units import ConstantProperty, followed, strongest
from elman.inspection.unroll import STEPS, unroll
from elman.models.recurrent import RecurrentLM
from elman.serving.admission import read_request
from elman.serving.schemas import (
    ExamplesRequest,
    InfluenceRequest,
    InsideRequest,
    Limits,
    RequestRefused,
    ThroughTimeRequest,
    UnitsRequest,
    UnrollRequest,
    json_bytes_response,
    json_response,
    time_limit_exceeded,
)
from elman.serving.state import ServedModel, server_of
from elman.serving.streams import while_connected
from elman.text.token_writer import TokenWriter

R = TypeVar(
    "R", InsideRequest, UnitsRequest, ThroughTimeRequest, InfluenceRequest, ExamplesRequest, UnrollRequest
)
DECIMALS = 4


async def inside_models(request: Request) -> Response:
    """Describe the models: their cells, if they have any, and their sizes."""
    models = server_of(request).models
    found = [summary(each.name, each.text_model, models.comparable[each.name]) for each in models.all]
    return json_response({"models": found})


async def inside(request: Request) -> Response:
    """Return a state or a gate of one layer after every token."""
    return await _in_side_thread(request, InsideRequest, _inside)


async def units(request: Request) -> Response:
    """Return the units that correlate most strongly with a property of the text."""
    return await _in_side_thread(request, UnitsRequest, _units)


async def through_time_norms(request: Request) -> Response:
    """Return the norm of the gradient of one token's probability at each token before it."""
    return await _in_side_thread(request, ThroughTimeRequest, _through_time)


async def influence_bits(request: Request) -> Response:
    """Return by how many bits other tokens before one would change its surprisal."""
    return await _in_side_thread(request, InfluenceRequest, _influence)


async def examples(request: Request) -> Response:
    """Return a text to begin with, and pairs of texts to compare."""
    return await _in_side_thread(request, ExamplesRequest, _examples)


async def unrolled(request: Request) -> Response:
    """Return what every step over the end of the text reads, holds and predicts, and the gradients between steps."""
    return await _in_side_thread(request, UnrollRequest, _unroll)


async def _in_side_thread(
    request: Request, schema: type[R], answer: Callable[[Limits, ServedModel, R], Any]
) -> Response:
    """Return what ``answer`` makes of the body, in the side thread. Raises RequestRefused if it takes too long."""
    server = server_of(request)
    model, body = await read_request(request, schema, lambda body: (server.models[body.model], body))

    def task() -> bytes:
        return msgspec.json.encode(answer(server.limits, model, body))

    async def result() -> bytes:
        return await asyncio.wrap_future(server.side_thread.submit(task))

    try:
        async with asyncio.timeout(server.limits.seconds):
            return json_bytes_response(await while_connected(request.receive, result()))
    except TimeoutError as error:
        raise time_limit_exceeded(server.limits.seconds) from error


def _inside(limits: Limits, served: ServedModel, body: InsideRequest) -> dict[str, Any]:
    model, coded = _check_text(served, body.text, limits)
    layer = _check_layer(model, body, coded, limits)
    with refuse_errors("text"):
        traced = trace(served.text_model, body.text)
    values = traced.values(body.what, layer).astype(np.float64).round(DECIMALS)
    return {
        "model": served.name,
        "cell": model.cell,
        "layer": layer,
        "what": body.what,
        "choices": traced.choices,
        "layers": len(model.rnn_layers),
        "hidden": values.shape[1],
        "tokens": _tokens_json(served, coded),
        "values": values.tolist(),
    }


def _units(limits: Limits, served: ServedModel, body: UnitsRequest) -> dict[str, Any]:
    model, coded = _check_text(served, body.text, limits)
    layer = _check_layer(model, body, coded, limits)
    if body.property is not None and body.span is not None:
        raise RequestRefused("give property or span, not both", "property", "invalid_value")
    feature: str | Span | None = body.property if body.span is None else body.span
    param = "property" if body.span is None else "span"
    if feature is not None:
        with refuse_errors(param):
            property_of(coded, feature)
    with refuse_errors("text"):
        traced = trace(served.text_model, body.text)
    if feature is None and (feature := followed(traced, body.what, layer)) is None:
        raise RequestRefused(
            "no property changes within this text; send a longer one", "text", "invalid_value"
        )
    with refuse_errors(param):
        found = strongest(traced, feature, body.what, layer, body.top)
    return {
        "model": served.name,
        "cell": model.cell,
        "layer": layer,
        "what": body.what,
        "property": feature if isinstance(feature, str) else None,
        "span": body.span,
        "units": [each._asdict() for each in found],
    }


def _through_time(limits: Limits, served: ServedModel, body: ThroughTimeRequest) -> dict[str, Any]:
    _, coded = _check_text(served, body.text, limits)
    with refuse_errors("index"):
        found = through_time(served.text_model, body.text, body.index)
    tokens = _tokens_json(served, coded)
    inputs = tokens[: body.index]
    if found.after_start:
        assert coded.start_id is not None
        name = _writer(served).name(coded.start_id)
        inputs = [{"token": name, "start": 0, "end": 0}, *inputs]
    return {
        "model": served.name,
        "index": body.index,
        "token": tokens[body.index]["token"],
        "surprisal_bits": found.surprisal_bits,
        "inputs": inputs,
        "norms": found.norms.tolist(),
    }


def _influence(limits: Limits, served: ServedModel, body: InfluenceRequest) -> dict[str, Any]:
    coded = _encode(served, body.text, limits)
    read = body.index**2 * body.replacements
    if body.index < len(coded.tokens) and read > (limit := limits.influence_tokens):
        raise RequestRefused(
            f"{body.replacements} replacements of each of {body.index:,} tokens are {read:,} tokens to read, the limit "
            f"of this server is {limit:,}; send fewer replacements or a smaller index",
            "replacements",
            "limit_exceeded",
        )
    with refuse_errors("index"):
        rng = np.random.default_rng(body.seed)
        found = influence(
            served.text_model, body.text, body.index, body.replacements, likely=body.likely, rng=rng
        )
    tokens = _tokens_json(served, coded)
    return {
        "model": served.name,
        "index": body.index,
        "token": tokens[body.index]["token"],
        "surprisal_bits": found.surprisal_bits,
        "inputs": tokens[: body.index],
        "bits": found.bits.tolist(),
        "replacements": [row.replacements for row in found],
    }


def _examples(limits: Limits, served: ServedModel, body: ExamplesRequest) -> dict[str, Any]:
    opened = opening(served.text_model)
    return {
        "model": served.name,
        "opening": None if opened is None else opened._asdict(),
        "pairs": [pair._asdict() for pair in pairs(served.text_model)],
    }


def _unroll(limits: Limits, served: ServedModel, body: UnrollRequest) -> dict[str, Any]:
    model, _ = _check_text(served, body.text, limits)
    # the work and the memory are those of about steps² steps of the network
    steps = min(STEPS, max(2, math.isqrt(limits.inside_values // _widest(model))))
    with refuse_errors("text"):
        found = unroll(served.text_model, body.text, steps)
    return {"model": served.name, **found.as_json(served.text_model)}


def _check_text(served: ServedModel, text: str, limits: Limits) -> tuple[RecurrentLM, EncodedText]:
    """Return the network and the text as it reads it. Refuse models without hidden units, and texts too long."""
    with refuse_errors("model"):
        model = recurrent(served.text_model.model)
    return model, _encode(served, text, limits)


def _encode(served: ServedModel, text: str, limits: Limits) -> EncodedText:
    """Return the text as the model reads it. Refuse texts too long."""
    with refuse_errors("text"):
        coded = EncodedText.of(served.text_model, text)
    if (length := len(coded.tokens)) > (limit := limits.inside_tokens):
        message = f"text has {length:,} tokens, the limit of this server is {limit:,}; shorten it"
        raise RequestRefused(message, "text", "context_length_exceeded")
    return coded


def _check_layer(
    model: RecurrentLM, body: InsideRequest | UnitsRequest, coded: EncodedText, limits: Limits
) -> int:
    """Return the requested layer. Refuse one that does not exist, a state or gate it lacks, and too many values."""
    with refuse_errors("layer"):
        layer = checked_layer(body.layer, len(model.rnn_layers))
    with refuse_errors("what"):
        checked_what(body.what, model.cell, model.rnn_layer.names_inside())
    width = _widest(model)
    if (values := len(coded.tokens) * width) > (limit := limits.inside_values):
        raise RequestRefused(
            f"{len(coded.tokens):,} tokens of {width:,} units are {values:,} values, the limit of this "
            f"server is {limit:,}; send at most {limit // width:,} tokens",
            "text",
            "limit_exceeded",
        )
    return layer


def _widest(model: RecurrentLM) -> int:
    """Return the number of units of the widest state or gate."""
    return max(model.hidden_size, model.output_size)


@contextmanager
def refuse_errors(param: str) -> Iterator[None]:
    """Turn the library's errors within the block into RequestRefused, with the field at fault."""
    try:
        yield
    except NoHiddenUnits as error:
        raise RequestRefused(str(error), "model", "no_hidden_units") from error
    except ConstantProperty as error:
        raise RequestRefused(str(error), param, "constant_property") from error
    except ElmanError as error:
        raise RequestRefused(str(error), param, "invalid_value") from error


def _writer(served: ServedModel) -> TokenWriter:
    return TokenWriter(served.text_model.tokenizer, served.text_model.vocabulary)


def _tokens_json(served: ServedModel, coded: EncodedText) -> list[dict[str, Any]]:
    """Return the tokens as POST /score names them, and their places in the text."""
    writer, found = _writer(served), []
    for id_, (start, end) in zip(coded.ids.tolist(), coded.offsets.tolist(), strict=True):
        name = writer.push(id_)[0] if id_ >= 0 else coded.text[start:end]
        found.append({"token": name, "start": start, "end": end})
    return found
