"""The folder of a run: its options (config.toml), and its checkpoints.

A checkpoint is a model file that also holds what a bit-exact continuation needs: the state of the optimizer, of the
random generator and of the sequences, and the progress. The options are written once; only limits may change later.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from elman.arrays import asarray, in_double, to_numpy
from elman.errors import ConfigError, ModelFileError, RunError
from elman.files import atomic_write
from elman.formats.model_file import Arrays, describe, read_arrays, write_arrays
from elman.formats.run_files import CONFIG_NAME, STAGED, replacing, run_files, writing_run
from elman.models.parameters import CELLS
from elman.models.window import WindowLM
from elman.models.window_models import NPLM
from elman.text.vocabulary import ORDERS
from elman.text_model import TextModel
from elman.training.config import AUTO, Config, read_toml, write_toml
from elman.training.model_options import Network
from elman.training.progress import Progress
from elman.training.trainer import RnnlmTrainer

MAY_CHANGE = {  # when a run is resumed
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
CARRIED = "carried."  # prefix of the arrays of the carried state


def write_stored(path: Path, stored: dict[str, Any]) -> None:
    """Write a run's corpus, valid and options as TOML.

    Raises:
        RunError: the folder cannot be written; nothing was changed.
    """
    folder = path.parent.parent if path.parent.name == STAGED else path.parent
    try:
        with atomic_write(path, "w", encoding="utf-8") as file:
            file.write(write_toml(stored))
    except OSError as error:
        raise RunError(
            f"cannot write the run folder {folder}: {error.strerror or error}; choose another folder "
            "or free some space; nothing was changed"
        ) from error


@contextlib.contextmanager
def new_run_folder(folder: Path, stored: dict[str, Any], overwrite: bool) -> Iterator[Path]:
    """Yield a folder for the files of a new run, which replace those of an older one if the block succeeds.

    It holds the options already: the block may write them again.

    Raises:
        RunError: the folder holds a run and ``overwrite`` is not set, another process writes there, or it cannot be
            written.
    """
    with writing_run(folder):
        existing = run_files(folder)
        if existing and not overwrite:
            raise RunError(
                f"{folder} already holds a run ({', '.join(existing)}); continue it with `resume=True`, replace it "
                "with `overwrite=True`, or choose another folder"
            )
        with replacing(folder) as staged:
            write_stored(staged / CONFIG_NAME, stored)
            yield staged


def with_changes(options: dict[str, Any], changes: dict[str, Any], path: Path) -> Config:
    """Return the options of a run with ``changes``, of those that may change; ``path`` is that of its config.toml.

    Raises:
        ConfigError: another option would change; names both values.
    """
    for name, value in changes.items():
        if options.get(name) != value and name not in MAY_CHANGE:
            raise ConfigError(
                f"{path.parent} was started with {name} = {options.get(name)!r} and cannot continue with {value!r}; "
                "leave the option out, or start a new run"
            )
    return Config.of(options | changes, str(path))


def check_same(recorded: Mapping[str, Any], config: Config, path: Path) -> None:
    """Raise ConfigError where options that may not change differ from those in the checkpoint: they were edited."""
    for name, value in recorded.items():
        now = getattr(config, name, value)
        if name not in MAY_CHANGE and now != value:
            raise ConfigError(
                f"{path} says {name} = {now!r}, but the checkpoint next to it has {value!r}; restore "
                "that value, or start a new run"
            )


def trained_options(config: Config, model: Network) -> dict[str, Any]:
    """Return the options that can be read off a trained model."""
    trained: dict[str, Any] = {"wordvec": model.wordvec_size, "tie_weights": model.tie_weights}
    if isinstance(model, WindowLM):
        trained |= {"model": model.kind, "window": model.window}
        return trained | ({"hidden": model.hidden_size} if isinstance(model, NPLM) else {})
    trained["model"] = "rnn"
    if CELLS[model.cell].hidden_size(model.wordvec_size, config.hidden) == config.hidden:
        trained["hidden"] = model.hidden_size
    trained |= {"cell": model.cell, "layers": len(model.rnn_layers)}
    trained |= {"block": model.block, "mlp": model.mlp}
    trained["softmax"] = config.softmax.replace("adaptive", "full") if model.adaptive is None else "adaptive"
    if model.adaptive is not None and config.cutoffs != AUTO:
        trained["cutoffs"] = ",".join(map(str, model.adaptive))
    return trained


def read_stored(path: Path) -> dict[str, Any]:
    """Return the corpus, valid and options that `write_stored` wrote. Raises RunError where the file is damaged."""
    try:
        stored = read_toml(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    parts = (("corpus", str), ("valid", str), ("options", dict))
    wrong = [name for name, kind in parts if not isinstance(stored.get(name), kind)]
    if wrong:
        raise RunError(
            f"{path} lacks {' and '.join(wrong)}: the file was changed since `elman.train()` wrote it; restore it"
        )
    options = stored["options"]
    if options.get("order") in ORDERS:  # the old name of vocab_order, before n-grams had an order
        options["vocab_order"] = options.pop("order")
    return stored


@dataclass
class Checkpoint:
    """A checkpoint as read from its file."""

    arrays: Arrays
    about: dict[str, Any]

    @property
    def training(self) -> dict[str, Any]:
        """The state of the training, without the arrays."""
        return dict(self.about["training"])

    @property
    def begun(self) -> dict[str, Any]:
        """The options and the kind of validation that the training began with; empty in files of elman ≤ 0.3."""
        return dict(self.about.get("begun", {}))


def weights_are_finite(model: Any) -> bool:
    """Return whether every weight is finite: only then may a checkpoint replace an older one."""
    return all(bool(np.isfinite(to_numpy(weight)).all()) for weight in model.weights.values())


def save_checkpoint(
    path: Path,
    text_model: TextModel,
    trainer: RnnlmTrainer,
    begun: Mapping[str, Any] | None = None,
    *,
    carried: Any = None,
    **more: Any,
) -> None:
    """Write the model, the optimizer, the averages, the carried and random state and the progress to one file.

    The file is a model file too: `elman.load` reads it. ``begun`` is plain data about what the
    training began with, ``more`` is saved with the progress. ``carried`` is the state of the sequences of all ranks; by
    default that of the model.
    """
    model = trainer.model
    arrays, about = describe(text_model)
    for slot, slot_arrays in trainer.optimizer.state.items():
        arrays |= {f"optimizer.{slot}.{k}": array for k, array in enumerate(slot_arrays)}
    arrays |= {f"average.{k}": total for k, total in enumerate(trainer.averaging.totals)}
    carried = model.carried_state() if carried is None else carried
    if carried is not None:
        arrays |= {f"{CARRIED}{name}": array for name, array in carried.to_arrays().items()}
    about["begun"] = dict(begun or {})
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
        ModelFileError: the file is missing or truncated, or holds a model without the state of its training.
    """
    arrays, about = read_arrays(path)
    if "training" not in about:
        raise ModelFileError(f"{path} is a model, but not a checkpoint from which training can resume")
    return Checkpoint(arrays, about)


def restore(checkpoint: Checkpoint, trainer: RnnlmTrainer) -> None:
    """Bring a new trainer, made with the same options and the checkpoint's weights, to the checkpoint's state."""
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
