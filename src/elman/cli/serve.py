"""`elman serve`: models behind the protocol of the OpenAI API."""

from pathlib import Path

import click

from elman.errors import ConfigError, MissingExtra


@click.command("serve", no_args_is_help=True)
@click.argument("runs", metavar="RUN...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="the address to listen on; 0.0.0.0: all")
@click.option(
    "--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free"
)
@click.option(
    "--watch",
    "watched",
    multiple=True,
    type=click.Path(path_type=Path),
    help="a run whose training can be watched as it goes on; may be given several times",
)
@click.option(
    "--api-key",
    envvar="ELMAN_API_KEY",
    help="the key that clients must send; better given as $ELMAN_API_KEY, which other users cannot see",
)
@click.option(
    "--width",
    type=click.IntRange(1, 64),
    help="texts that take a step together; 1 is the fastest for a single client; with more than the default, which a "
    "test finds (8 at most), the last digits may depend on what others ask",
)
@click.option(
    "--max-seconds", default=300.0, show_default=True, type=click.FloatRange(1), help="a request may take"
)
@click.option(
    "--max-tokens", default=16_384, show_default=True, type=click.IntRange(1), help="of a prompt, and to draw"
)
@click.option(
    "--max-streams", default=64, show_default=True, type=click.IntRange(1), help="served at the same time"
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
    """Serve the models in RUN... over HTTP, as the OpenAI API does.

    Each model is named like its folder; a request that names none is answered by the first. Ctrl-C or SIGTERM ends
    the server when all that has been asked is answered.
    """
    if not runs:
        raise ConfigError("there is no model to serve; name a run that `elman train` made")
    try:
        from elman.serving.app import make_app
        from elman.serving.middleware import LOOPBACK
        from elman.serving.server import is_loopback, listen, serve
        from elman.serving.state import Limits, load_models, name_of
    except ImportError as error:
        raise MissingExtra(error.name or "starlette", "serve") from error

    limits = Limits(seconds=max_seconds, prompt_tokens=max_tokens, max_tokens=max_tokens, streams=max_streams)
    folders = {name_of(run): run for run in runs if run.is_dir()}
    for run in watched:
        if folders.setdefault(name_of(run), run).resolve() != run.resolve():
            raise ConfigError(f"two of the runs to watch are named {name_of(run)}; rename one of the folders")
    local = is_loopback(host)
    models = load_models(runs, limits, width)
    app = make_app(models, limits, folders, api_key, LOOPBACK if local else None)
    listening = listen(host, port)

    def ready() -> None:
        names = ", ".join(each.name for each in models.all)
        place = f"[{host}]" if ":" in host else host
        click.echo(
            f"elman serves {names} at http://{place}:{listening.getsockname()[1]}; Ctrl-C ends it", err=True
        )
        if not local and api_key is None:
            click.echo("elman: without --api-key, everyone who reaches this address is served", err=True)

    serve(app, listening, limits, ready)
