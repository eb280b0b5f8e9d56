"""How much of a server one request, and all of them together, may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of a server; what is beyond one is refused with a 4xx answer that names it."""

    body_bytes: int = 1 << 20
    body_seconds: float = 10.0  # to send a body in
    prompt_tokens: int = 16_384
    prompts: int = 256  # in a request
    choices: int = 16  # n and best_of
    max_tokens: int = 16_384  # to generate for a choice
    inside_tokens: int = 1024  # of a text whose states are looked at
    inside_values: int = 400_000  # tokens times units
    inside_waiting: int = 32  # requests that look inside a model, or wait for it
    streams: int = 64  # at the same time
    lanes: int = 64  # steps of so many texts are taken together; others wait for their turn
    waiting: int = 1024  # texts that are read, scored or continued, or wait for it
    seconds: float = 300.0  # a request
    connections: int = 512
