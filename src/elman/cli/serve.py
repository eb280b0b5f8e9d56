"""`elman serve`: serve models over HTTP with the OpenAI API."""

from pathlib import Path

import click

from elman.errors import ConfigError, MissingExtra


@click.command("serve", no_args_is_help=True)
@click.argument("runs", metavar="RUN...", nargs=-1, type=click.Path(path_type=Path))
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
    "watched",
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
    help="sequences per step of the model; 1 is fastest for a single client. By default, a test at the start finds the "
    "largest width (8 at most) with reproducible results; beyond it, last digits may depend on other requests",
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
def command(
    runs: tuple[Path, ...],
    host: str,
    port: int,
    watched: tuple[Path, ...],
    api_key: str | None,
    width: int | None,
    max_seconds: float,
    max_tokens: int,
    max_streams: int,
) -> None:
    """Serve the models in RUN... over HTTP, with the OpenAI API and a web page.

    Each model has the name of its folder. The first is the default of requests that name none. On Ctrl-C or SIGTERM
    the server finishes the open requests and stops.
    """
    if not runs:
        raise ConfigError("there is no model to serve; give a run that `elman train` made")
    try:
        from elman.serving.app import make_app
        from elman.serving.middleware import LOOPBACK
        from elman.serving.schemas import Limits
        from elman.serving.server import is_loopback, listen, serve
        from elman.serving.state import load_models, name_of
    except ImportError as error:
        raise MissingExtra(error.name or "starlette", "serve") from error

    limits = Limits(seconds=max_seconds, prompt_tokens=max_tokens, max_tokens=max_tokens, streams=max_streams)
    folders = {name_of(run): run for run in runs if run.is_dir()}
    for run in watched:
        if folders.setdefault(name_of(run), run).resolve() != run.resolve():
            raise ConfigError(
                f"two of the runs have the same name, {name_of(run)}; rename one of the folders"
            )
    local = is_loopback(host)
    models = load_models(runs, limits, width)
    app = make_app(models, limits, folders, api_key, LOOPBACK if local else None)
    listening = listen(host, port)

    def ready() -> None:
        names = ", ".join(each.name for each in models.all)
        place = f"[{host}]" if ":" in host else host
        click.echo(
            f"elman serves {names} at http://{place}:{listening.getsockname()[1]}; Ctrl-C stops it", err=True
        )
        if not local and api_key is None:
            click.echo(
                "elman: there is no --api-key, so everyone who can reach this address can use the server",
                err=True,
            )

    serve(app, listening, limits, ready)
