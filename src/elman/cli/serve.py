"""`elman serve`: serve models over HTTP with the OpenAI API."""

from pathlib import Path

import click


@click.command("serve", no_args_is_help=True)
@click.argument("models", metavar="RUN...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="address to listen on; 0.0.0.0: all addresses"
)
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="port to listen on; 0: any free port",
)
@click.option(
    "--watch",
    multiple=True,
    type=click.Path(path_type=Path),
    help="run whose training can be followed while it continues; can be given several times",
)
@click.option(
    "--api-key",
    envvar="ELMAN_API_KEY",
    help="key that clients must send; safer as $ELMAN_API_KEY, which other users cannot see",
)
@click.option(
    "--width",
    type=click.IntRange(1, 64),
    help="sequences per step of the model; 1 is fastest for a single client. By default, a test at the start finds "
    "several widths (64 at most) with the same reproducible results, and a step has the smallest that suffices; with "
    "another width, last digits may depend on other requests",
)
@click.option(
    "--max-seconds",
    default=300.0,
    show_default=True,
    type=click.FloatRange(1),
    help="time limit of a request",
)
@click.option(
    "--max-tokens",
    default=16_384,
    show_default=True,
    type=click.IntRange(1),
    help="limit for the tokens of a prompt, and of a completion",
)
@click.option(
    "--max-streams",
    default=64,
    show_default=True,
    type=click.IntRange(1),
    help="limit for simultaneous streams",
)
@click.option(
    "--lessons/--no-lessons",
    default=None,
    help="let visitors of the page train two small networks on this machine, one lesson at a time. By default, only if "
    "no other machine can reach the server and there is no --api-key; behind a proxy, turn them off",
)
def command(
    models: tuple[Path, ...],
    host: str,
    port: int,
    watch: tuple[Path, ...],
    api_key: str | None,
    width: int | None,
    max_seconds: float,
    max_tokens: int,
    max_streams: int,
    lessons: bool | None,
) -> None:
    """Serve the models in RUN... over HTTP, with the OpenAI API and a web page.

    Each model has the name of its folder. The first is the default of requests that name none. On Ctrl-C or SIGTERM
    the server finishes the open requests and stops.
    """
    from elman.api.serve import serve

    serve(
        models,
        host=host,
        port=port,
        watch=watch,
        api_key=api_key,
        width=width,
        max_seconds=max_seconds,
        max_tokens=max_tokens,
        max_streams=max_streams,
        lessons=lessons,
    )
