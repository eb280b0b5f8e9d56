"""What is refused of a request that looks inside a recurrent network."""

from collections.abc import Iterator
from contextlib import contextmanager

from elman.errors import ElmanError
from elman.inspection.coded_text import CodedText
from elman.inspection.network import NoHiddenUnits, recurrent
from elman.inspection.trace import checked_layer, checked_what
from elman.models.rnnlm import RecurrentLM
from elman.serving.inside_requests import InsideRequest, UnitsRequest
from elman.serving.limits import Limits
from elman.serving.problems import RequestRefused
from elman.serving.served import Served


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
