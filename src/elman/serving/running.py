"""Run a server of models: in the main thread until a signal, or in a thread of its own."""

import asyncio
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from elman.errors import ConfigError
from elman.serving.app import make_app
from elman.serving.middleware import LOOPBACK
from elman.serving.schemas import Limits
from elman.serving.server import Serving, is_loopback, listen, make_server, run_until_signal
from elman.serving.state import load_models, name_of
from elman.text_model import Model, Models, TextModel, by_name

log = logging.getLogger(__name__)


def run(
    models: Models,
    host: str,
    port: int,
    watch: Sequence[Path],
    api_key: str | None,
    width: int | None,
    limits: Limits,
    lessons: bool | None,
    block: bool,
) -> Serving | None:
    """Serve models, as described for `elman.serve`; return the server if it still runs."""
    named = served_names(models)
    folders = {name: Path(each) for name, each in named.items() if not isinstance(each, TextModel)}
    folders = {name: path for name, path in folders.items() if path.is_dir()}
    for path in watch:
        if folders.setdefault(name_of(path), path).resolve() != path.resolve():
            raise ConfigError(
                f"two of the runs have the same name, {name_of(path)}; rename one of the folders"
            )
    local = is_loopback(host)
    loaded = load_models(named, limits, width)
    name = f"[{host}]" if ":" in host else host
    hosts = LOOPBACK | {name.lower()} if local else None
    if lessons is None:
        lessons = local and api_key is None  # a server with a key is for others, perhaps behind a proxy
    app = make_app(loaded, limits, folders, api_key, hosts, lessons)
    listening = listen(host, port)
    url = f"http://{name}:{listening.getsockname()[1]}"

    def ready() -> None:
        log.info("elman serves %s at %s; Ctrl-C stops it", ", ".join(each.name for each in loaded.all), url)
        if not local and api_key is None:
            log.warning("there is no `api_key`, so everyone who can reach this address can use the server")

    if block and threading.current_thread() is threading.main_thread() and not _in_event_loop():
        run_until_signal(make_server(app, limits, ready), listening)
        return None
    serving = Serving(app, listening, limits, url)
    ready()
    if not block:
        return serving
    serving.wait()
    return None


def served_names(models: Models) -> dict[str, Model]:
    """Return the models under the names that requests use: of a path the name of the folder; "model", "model-2".

    Raises:
        ConfigError: there is no model, or two models have the same name.
    """
    served: dict[str, Model] = {}
    for name, model in by_name(models).items():
        if isinstance(model, TextModel):
            short = "model" if name == "model 1" else name.replace(" ", "-")
        else:
            short = name_of(Path(model)) if name == os.fspath(model) else name
        if short in served:
            raise ConfigError(
                f"two of the models to serve have the same name, {short}, which is that of their folder; rename one"
            )
        served[short] = model
    if not served:
        raise ConfigError("there is no model to serve; give a run that `elman.train()` made")
    return served


def _in_event_loop() -> bool:
    """Return whether this thread runs an event loop, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
