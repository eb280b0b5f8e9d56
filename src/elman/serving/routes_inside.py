"""What is refused of a request that looks inside a recurrent network.

GET /inside/models, POST /inside, /units and /through-time: what goes on inside a recurrent network.

Nothing here touches what an engine uses: the layers that read are made for each request, on the model's weights.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from elman.errors import ElmanError
from elman.inspection.network import NoHiddenUnits, recurrent, summary
from elman.inspection.text_properties import CodedText, Span, property_of
from elman.inspection.through_time import through_time
from elman.inspection.trace import checked_layer, checked_what, trace
from elman.inspection.units import strongest
from elman.models.recurrent import RecurrentLM
from elman.serving.bodies import body_of, json_answer
from elman.serving.prompts import Writer
from elman.serving.schemas import InsideRequest, RequestRefused, ThroughTimeRequest, UnitsRequest, out_of_time
from elman.serving.state import Limits, Served, server_of
from elman.serving.streams import unless_gone


def checked_text(served: Served, text: str, limits: Limits) -> tuple[RecurrentLM, CodedText]:
    """Return the network and the text as it reads it; refuse other models, and texts that are too long."""
    with blaming("model"):
        model = recurrent(served.text_model.model)
    with blaming("text"):
        coded = CodedText.of(served.text_model, text)
    if (length := len(coded.tokens)) > (most := limits.inside_tokens):
        message = (
            f"text has {length:,} tokens, this server looks inside {most:,} at most; send less at a time"
        )
        raise RequestRefused(message, "text", "context_length_exceeded")
    return model, coded


def checked_place(
    model: RecurrentLM, asked: InsideRequest | UnitsRequest, coded: CodedText, limits: Limits
) -> int:
    """Return the layer that is meant; refuse one that is not there, what it does not have, and too many numbers."""
    with blaming("layer"):
        layer = checked_layer(asked.layer, len(model.rnn_layers))
    with blaming("what"):
        checked_what(asked.what, model.cell)
    if (numbers := len(coded.tokens) * model.hidden_size) > (most := limits.inside_values):
        raise RequestRefused(
            f"{len(coded.tokens):,} tokens of {model.hidden_size:,} units are {numbers:,} numbers, this server works "
            f"on {most:,} at most; send {most // model.hidden_size:,} tokens or fewer",
            "text",
            "limit_exceeded",
        )
    return layer


@contextmanager
def blaming(param: str) -> Iterator[None]:
    """Refuse the request for what the library says is wrong within the block, with the field that is to blame."""
    try:
        yield
    except NoHiddenUnits as error:
        raise RequestRefused(str(error), "model", "no_hidden_units") from error
    except ElmanError as error:
        raise RequestRefused(str(error), param, "invalid_value") from error


DECIMALS = 4


async def inside_models(request: Request) -> Response:
    """Tell of the models: what their cells are, where they have any, and how large they are."""
    return json_answer(
        {"models": [summary(each.name, each.text_model) for each in server_of(request).models.all]}
    )


async def inside(request: Request) -> Response:
    """Answer with a state or a gate of one layer after every token."""
    asked = await body_of(request, InsideRequest)
    server = server_of(request)
    return await _done(request, partial(_values, server.limits, server.models[asked.model], asked))


async def units(request: Request) -> Response:
    """Answer with the units that go with a property of the text the most."""
    asked = await body_of(request, UnitsRequest)
    server = server_of(request)
    return await _done(request, partial(_units, server.limits, server.models[asked.model], asked))


async def time_back(request: Request) -> Response:
    """Answer with how much each token before one bears upon its probability."""
    asked = await body_of(request, ThroughTimeRequest)
    server = server_of(request)
    return await _done(request, partial(_through_time, server.limits, server.models[asked.model], asked))


async def _done(request: Request, work: Callable[[], Response]) -> Response:
    """Return what ``work``, done aside, returns. Raises RequestRefused where it has to wait for too long."""
    server = server_of(request)

    async def wait() -> Response:
        return await asyncio.wrap_future(server.aside.submit(work))

    try:
        async with asyncio.timeout(server.limits.seconds):
            return await unless_gone(request.receive, wait())
    except TimeoutError as error:
        raise out_of_time(server.limits.seconds) from error


def _values(limits: Limits, served: Served, asked: InsideRequest) -> Response:
    model, coded = checked_text(served, asked.text, limits)
    layer = checked_place(model, asked, coded, limits)
    with blaming("text"):
        traced = trace(served.text_model, asked.text)
    values = traced.values(asked.what, layer).astype(np.float64).round(DECIMALS)
    return json_answer(
        {
            "model": served.name,
            "cell": model.cell,
            "layer": layer,
            "what": asked.what,
            "choices": traced.choices,
            "layers": len(model.rnn_layers),
            "hidden": model.hidden_size,
            "tokens": _tokens(served, coded),
            "values": values.tolist(),
        }
    )


def _units(limits: Limits, served: Served, asked: UnitsRequest) -> Response:
    model, coded = checked_text(served, asked.text, limits)
    layer = checked_place(model, asked, coded, limits)
    of = _wanted(asked)
    param = "span" if asked.property is None else "property"
    with blaming(param):
        property_of(coded, of)
    with blaming("text"):
        traced = trace(served.text_model, asked.text)
    with blaming(param):
        found = strongest(traced, of, asked.what, layer, asked.top)
    return json_answer(
        {
            "model": served.name,
            "cell": model.cell,
            "layer": layer,
            "what": asked.what,
            "property": asked.property,
            "span": asked.span,
            "units": [each._asdict() for each in found],
        }
    )


def _through_time(limits: Limits, served: Served, asked: ThroughTimeRequest) -> Response:
    _, coded = checked_text(served, asked.text, limits)
    with blaming("index"):
        found = through_time(served.text_model, asked.text, asked.index)
    tokens = _tokens(served, coded)
    inputs = tokens[: asked.index]
    if found.after_start:
        assert coded.start_id is not None
        name = Writer(served.text_model).name(coded.start_id)
        inputs = [{"token": name, "start": 0, "end": 0}, *inputs]
    return json_answer(
        {
            "model": served.name,
            "index": asked.index,
            "token": tokens[asked.index]["token"],
            "surprisal_bits": found.surprisal_bits,
            "inputs": inputs,
            "norms": found.norms.tolist(),
        }
    )


def _wanted(asked: UnitsRequest) -> str | Span:
    """Return the property or the span. Raises RequestRefused for neither, and for both."""
    if asked.property is not None and asked.span is None:
        return asked.property
    if asked.span is not None and asked.property is None:
        return asked.span
    problem = "leave out one of property and span" if asked.property else "give a property or a span"
    raise RequestRefused(f"{problem}: units go with one thing at a time", "property", "invalid_value")


def _tokens(served: Served, coded: CodedText) -> list[dict[str, Any]]:
    """Return the tokens as POST /score names them, and where they stand."""
    writer, found = Writer(served.text_model), []
    for id_, (start, end) in zip(coded.ids.tolist(), coded.offsets.tolist(), strict=True):
        name = writer.push(id_)[0] if id_ >= 0 else coded.text[start:end]
        found.append({"token": name, "start": start, "end": end})
    return found
