"""The models that a server has, by name."""

import time
from collections.abc import Sequence
from pathlib import Path

from elman.errors import ConfigError
from elman.models.file import load
from elman.models.text_model import TextModel
from elman.serving.engine import Engine
from elman.serving.limits import Limits
from elman.serving.problems import RequestRefused


class Served:
    """A model, its name, and the engine that takes its steps."""

    def __init__(self, name: str, text_model: TextModel, limits: Limits, width: int | None = None) -> None:
        self.name, self.text_model = name, text_model
        self.created = int(time.time())
        self.engine = Engine(text_model, limits.lanes, width)


class Models:
    """The models of a server; the first answers where a request names none."""

    def __init__(self, served: Sequence[Served]) -> None:
        self.all = list(served)
        self._by_name = {each.name: each for each in self.all}
        if len(self._by_name) < len(self.all):
            raise ConfigError(
                "two of the models to serve have the same name, which is that of their folder; rename one"
            )

    def __getitem__(self, name: str | None) -> Served:
        found = self.all[0] if name is None else self._by_name.get(name)
        if found is None:
            known = ", ".join(self._by_name)
            raise RequestRefused(
                f"there is no model {name!r} here; choose from {known}", "model", "model_not_found", 404
            )
        return found

    def start(self) -> None:
        """Start all engines."""
        for each in self.all:
            each.engine.start()

    def stop(self) -> None:
        """Stop all engines."""
        for each in self.all:
            each.engine.stop()


def load_models(runs: Sequence[Path], limits: Limits, width: int | None = None) -> Models:
    """Load the models of runs or model files; each is named like its folder, or its file without the ending.

    Raises ModelFileError as `load` does, ConfigError for two of one name.
    """
    return Models([Served(name_of(run), load(run), limits, width) for run in runs])


def name_of(run: Path) -> str:
    """Return the name of a run or a model file."""
    resolved = run.resolve()
    return resolved.name if resolved.is_dir() else resolved.name.partition(".")[0]
