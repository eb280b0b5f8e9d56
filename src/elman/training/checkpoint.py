"""Checkpoints: a model file with all that going on bit for bit needs beside the weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.arrays import asarray, in_double, to_numpy
from elman.errors import ModelFileError
from elman.models.file import Arrays, describe, read_arrays, write_arrays
from elman.models.text_model import TextModel
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
