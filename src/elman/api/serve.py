"""Serve models over HTTP."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from elman.errors import ConfigError, MissingExtra
from elman.text_model import Models

if TYPE_CHECKING:
    from elman.serving.server import Serving

PathLike = str | os.PathLike[str]


@overload
def serve(
    models: Models,
    *,
    host: str = ...,
    port: int = ...,
    watch: PathLike | Sequence[PathLike] = ...,
    api_key: str | None = ...,
    width: int | None = ...,
    max_seconds: float = ...,
    max_tokens: int = ...,
    max_streams: int = ...,
    lessons: bool | None = ...,
    block: Literal[True] = ...,
) -> None: ...
@overload
def serve(
    models: Models,
    *,
    host: str = ...,
    port: int = ...,
    watch: PathLike | Sequence[PathLike] = ...,
    api_key: str | None = ...,
    width: int | None = ...,
    max_seconds: float = ...,
    max_tokens: int = ...,
    max_streams: int = ...,
    lessons: bool | None = ...,
    block: Literal[False],
) -> "Serving": ...
def serve(
    models: Models,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    watch: PathLike | Sequence[PathLike] = (),
    api_key: str | None = None,
    width: int | None = None,
    max_seconds: float = 300.0,
    max_tokens: int = 16_384,
    max_streams: int = 64,
    lessons: bool | None = None,
    block: bool = True,
) -> "Serving | None":
    """Serve models over HTTP, with the OpenAI API and a web page.

    Args:
        models: one or several models or paths, or a mapping from names to them; the first is the default of requests
            that name none. A path has the name of its folder, a model in memory "model".
        host: address to listen on; "0.0.0.0" for all addresses.
        port: port to listen on; 0 for any free one.
        watch: runs whose training can be followed while it continues.
        api_key: key that clients must send.
        width: sequences per step of the model, from 1 to 64; 1 is fastest for a single client. By default, a test at
            the start finds several widths with the same reproducible results, and a step has the smallest that
            suffices.
        max_seconds: time limit of a request.
        max_tokens: limit for the tokens of a prompt, and of a completion.
        max_streams: limit for simultaneous streams.
        lessons: let visitors of the page train two small networks on this machine; up to 8 such lessons are kept in
            memory, and one at a time is computed. By default, only if no other machine can reach the server
            and there is no ``api_key``; behind a proxy, turn them off.
        block: serve until Ctrl-C, SIGTERM, or the stop button of a notebook; then finish the open requests. Otherwise
            return a running server, which has a ``url`` and a method ``stop``.

    Raises:
        ConfigError: there is no model, two have the same name, an argument is out of range, or the port is in use.
        MissingExtra: the extra `serve` is not installed.
    """
    try:
        from elman.serving.running import run
        from elman.serving.schemas import Limits
    except ImportError as error:
        raise MissingExtra(error.name or "starlette", "serve") from error

    for name, value, least, most in (
        ("port", port, 0, 65535),
        ("width", 1 if width is None else width, 1, 64),
        ("max_seconds", max_seconds, 1, float("inf")),
        ("max_tokens", max_tokens, 1, float("inf")),
        ("max_streams", max_streams, 1, float("inf")),
    ):
        if not least <= value <= most:
            raise ConfigError(f"`{name}` must be from {least} to {most}, got {value}")
    limits = Limits(seconds=max_seconds, prompt_tokens=max_tokens, max_tokens=max_tokens, streams=max_streams)
    watched = [watch] if isinstance(watch, (str, os.PathLike)) else watch
    return run(models, host, port, list(map(Path, watched)), api_key, width, limits, lessons, block)
