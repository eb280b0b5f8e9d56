"""One of two processes that train together, each by ``python one_rank.py FOLDER``: writes what it finds there."""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from elman.backend import Backend
from elman.errors import ElmanError, RunError
from elman.training.process_group import ProcessRanks
from elman.training.ranks import FailedElsewhere
from support.tiny import small_lm
from support.trained import MODELS, VALID, Trained

NAMES = ["lstm", "gru", "sampled", "adaptive", "cbow", "in torch"]


def model_of(name: str) -> Any:
    if name != "in torch":
        return MODELS[name]
    return partial(
        small_lm, 40, cell="lstm", dropout=0.3, dtype=np.float32, backend=Backend("torch", "float32", "cpu")
    )


def main() -> None:
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    ranks = ProcessRanks(rank, 2)
    for name in NAMES:
        found = Trained(ranks, model_of(name), valid=VALID, eos=7)
        arrays = {f"weight {k}": np.asarray(w) for k, w in enumerate(found.weights)}
        arrays |= {f"state {name}": np.asarray(array) for name, array in found.state.to_arrays().items()}
        np.savez(folder / f"{name} {rank}.npz", losses=found.losses, valid=found.valid, **arrays)
    found = {"results": ranks.together(lambda: {"rank": rank}), "memory": ranks.recall("name")}
    ranks.remember("name", "value")

    def failing() -> None:
        if rank == 1:
            raise ElmanError("what went wrong")

    try:
        ranks.together(failing)
    except FailedElsewhere as error:
        found["elsewhere"] = str(error)
    except ElmanError as error:
        found["here"] = str(error)
    ranks.leave()

    ranks = ProcessRanks(rank, 2, timeout=4.0)  # a second meeting in the same store
    found["remembered"] = ranks.recall("name")
    (folder / f"found {rank}.json").write_text(json.dumps(found))
    ranks.together(lambda: None)
    if rank == 1:  # is lost: it does not answer
        while not (folder / "lost.txt").exists():
            time.sleep(0.01)
        os._exit(0)
    try:
        ranks.sums(1.0)
    except RunError as error:
        (folder / "lost.tmp").write_text(str(error))
        (folder / "lost.tmp").rename(folder / "lost.txt")


if __name__ == "__main__":
    main()
