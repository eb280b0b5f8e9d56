"""A run's folder: its options, and its checkpoints.

Checkpoints: a model file with all that going on bit for bit needs beside the weights.

What stands in a run's folder besides models: its options, written once, and changed within limits.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import asarray, in_double, to_numpy
from elman.errors import ConfigError, ModelFileError, RunError
from elman.files import atomic_write, remove_leftovers
from elman.formats.model_file import LAST_NAME, MODEL_NAME, Arrays, describe, read_arrays, write_arrays
from elman.models.window import WindowLM
from elman.models.window_models import NPLM
from elman.text.vocabulary import ORDERS
from elman.text_model import TextModel
from elman.training.config import AUTO, Config, read_toml, write_toml
from elman.training.model_options import Network
from elman.training.progress import Progress
from elman.training.trainer import RnnlmTrainer

CARRIED = "carried."  # before the names of the state's arrays


@dataclass
class Checkpoint:
    """A checkpoint as read from its file."""

    arrays: Arrays
    about: dict[str, Any]

    @property
    def training(self) -> dict[str, Any]:
        """What was saved of the training."""
        return dict(self.about["training"])


def weights_are_finite(model: Any) -> bool:
    """Tell whether every weight is a finite number: only then may a checkpoint replace an older one."""
    return all(bool(np.isfinite(to_numpy(weight)).all()) for weight in model.weights.values())


def save_checkpoint(path: Path, text_model: TextModel, trainer: RnnlmTrainer, **more: Any) -> None:
    """Write the model, the optimizer, the averages, the carried and random state and the progress to one file.

    The file is a model file too: `elman.load` reads it. ``more`` is plain data kept beside the progress.
    """
    model = trainer.model
    arrays, about = describe(text_model)
    for slot, held in trainer.optimizer.state.items():
        arrays |= {f"optimizer.{slot}.{k}": array for k, array in enumerate(held)}
    arrays |= {f"average.{k}": total for k, total in enumerate(trainer.averaging.totals)}
    carried = model.carried_state()
    if carried is not None:
        arrays |= {f"{CARRIED}{name}": array for name, array in carried.to_arrays().items()}
    about["training"] = {
        "progress": trainer.progress.to_json(),
        "schedule": trainer.schedule.state(),
        **({"averaging": averaging} if (averaging := trainer.averaging.state()) else {}),
        "optimizer_step": trainer.optimizer.step,
        "random_state": model.dropout_rng.bit_generator.state,
        **more,
    }
    write_arrays(path, arrays, about)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        ModelFileError: the file is missing, truncated, or a model without its training.
    """
    arrays, about = read_arrays(path)
    if "training" not in about:
        raise ModelFileError(f"{path} is a model, but not a checkpoint that training can go on from")
    return Checkpoint(arrays, about)


def restore(checkpoint: Checkpoint, trainer: RnnlmTrainer) -> None:
    """Put a trainer, made with the same options, where the checkpoint's stood; its weights are loaded already."""
    model = trainer.model
    training = checkpoint.training
    trainer.progress = Progress.from_json(training["progress"])
    trainer.schedule.restore(training["schedule"])
    if trainer.averaging.state():
        averaging = training["averaging"]
        averaged = enumerate(model.params) if averaging["count"] else ()
        totals = [in_double(checkpoint.arrays[f"average.{k}"], like=p) for k, p in averaged]
        trainer.averaging.restore(averaging, totals)
    optimizer = trainer.optimizer
    optimizer.step = training["optimizer_step"]
    if optimizer.step:
        optimizer.state = {
            slot: [
                asarray(np.array(checkpoint.arrays[f"optimizer.{slot}.{k}"]), like=p)
                for k, p in enumerate(model.params)
            ]
            for slot in optimizer.slots
        }
    model.dropout_rng.bit_generator.state = training["random_state"]
    carried = {
        name.removeprefix(CARRIED): np.array(array)
        for name, array in checkpoint.arrays.items()
        if name.startswith(CARRIED)
    }
    model.carry(type(model.start()).from_arrays(carried) if carried else None)


def _numbered(arrays: Arrays, prefix: str) -> list[NDArray[Any]]:
    found = [name for name in arrays if name.startswith(prefix)]
    return [np.array(arrays[f"{prefix}{k}"]) for k in range(len(found))]


CONFIG_NAME, METRICS_NAME = "config.toml", "metrics.jsonl"
FILES = (CONFIG_NAME, LAST_NAME, MODEL_NAME, METRICS_NAME)
MAY_CHANGE = {
    "about",
    "epochs",
    "iterations",
    "time_budget",
    "patience",
    "sample_every",
    "sample_length",
    "checkpoint_every",
    "backend",
    "precision",
    "device",
}


def write_stored(path: Path, stored: dict[str, Any]) -> None:
    """Write a run's corpus, valid and options, in a folder that is made if need be.

    Raises:
        RunError: the folder cannot be written; nothing was changed.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, "w", encoding="utf-8") as file:
            file.write(write_toml(stored))
    except OSError as error:
        raise RunError(
            f"cannot write the run folder {path.parent}: {error.strerror or error}; choose another folder "
            "or make room; nothing was changed"
        ) from error


@contextlib.contextmanager
def beginning(folder: Path, stored: dict[str, Any], overwrite: bool) -> Iterator[Path]:
    """Write down what a new run is; the run that was in its folder goes once the block has ended well.

    Yields where it stands until then: the block may write it again.

    Raises:
        RunError: the folder holds a run already and ``overwrite`` is not set, or cannot be written.
    """
    made = [name for name in FILES if (folder / name).exists()]
    if made and not overwrite:
        raise RunError(
            f"{folder} holds a run already ({', '.join(made)}); go on with it by --resume {folder}, replace it "
            "by --overwrite, or choose another folder"
        )
    new = folder / f"{CONFIG_NAME}.new"  # takes its name when all else has gone well
    write_stored(new, stored)
    try:
        yield new
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    for name in made:
        (folder / name).unlink()
    new.replace(folder / CONFIG_NAME)
    tidy(folder)


def changed(options: dict[str, Any], changes: dict[str, Any], path: Path) -> Config:
    """Return a run's options with new limits.

    Raises:
        ConfigError: a change would make it another training; names both values.
    """
    for name, value in changes.items():
        if options.get(name) != value and name not in MAY_CHANGE:
            raise ConfigError(
                f"{path.parent} was begun with {name} = {options.get(name)!r} and cannot go on with {value!r}; "
                "leave the option out, or begin a new run"
            )
    return Config.of(options | changes, str(path))


def tidy(folder: Path) -> None:
    """Remove what a killed process left half written."""
    for name in FILES:
        remove_leftovers(folder / name)


def check_same(config: Config, model: Network, tokenizer: dict[str, Any], path: Path) -> None:
    """Raise ConfigError where the options, edited perhaps, are not those of the model that was trained."""
    for name, value in {**_trained_options(config, model), **tokenizer}.items():
        if getattr(config, name) != value:
            raise ConfigError(
                f"{path} says {name} = {getattr(config, name)!r}, but the checkpoint beside it has {value!r}; "
                "put that back, or begin a new run"
            )


def _trained_options(config: Config, model: Network) -> dict[str, Any]:
    """Return the options that a trained model tells of itself."""
    trained: dict[str, Any] = {"wordvec": model.wordvec_size, "tie_weights": model.tie_weights}
    if isinstance(model, WindowLM):
        trained |= {"model": model.kind, "window": model.window}
        return trained | ({"hidden": model.hidden_size} if isinstance(model, NPLM) else {})
    trained |= {"model": "rnn", "hidden": model.hidden_size}
    trained |= {"cell": model.cell, "layers": len(model.rnn_layers)}
    trained["softmax"] = config.softmax.replace("adaptive", "full") if model.adaptive is None else "adaptive"
    if model.adaptive is not None and config.cutoffs != AUTO:
        trained["cutoffs"] = ",".join(map(str, model.adaptive))
    return trained


def read_stored(path: Path) -> dict[str, Any]:
    """Return what `create` wrote down: corpus, valid and options. Raises RunError where it is not that."""
    try:
        stored = read_toml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    parts = (("corpus", str), ("valid", str), ("options", dict))
    wrong = [name for name, kind in parts if not isinstance(stored.get(name), kind)]
    if wrong:
        raise RunError(f"{path} lacks {' and '.join(wrong)}: it is not as `elman train` wrote it; restore it")
    options = stored["options"]
    if options.get("order") in ORDERS:  # what vocab_order was called before n-grams had an order
        options["vocab_order"] = options.pop("order")
    return stored
