"""One of two processes that train together, each by ``python one_rank.py FOLDER``: writes what it finds there."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from elman.backend import Backend
from elman.errors import ElmanError, FailedElsewhere, RunError
from elman.models.recurrent import RecurrentLM
from elman.training.process_group import ProcessRanks
from support.trained import MODELS, VALID, Trained, V

NAMES = ["lstm", "gru", "sampled", "adaptive", "cbow", "in torch"]


def model_of(name: str) -> Any:
    if name != "in torch":
        return MODELS[name]
    return lambda: RecurrentLM(
        V, 4, 5, "lstm", dropout=0.3, rng=np.random.default_rng(1), backend=Backend("torch", "float32", "cpu")
    )


def main() -> None:
    folder, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    ranks = ProcessRanks(rank, 2)
    for name in NAMES:
        trained = Trained(ranks, model_of(name), valid=VALID, eos=7)
        arrays = {f"weight {k}": np.asarray(w) for k, w in enumerate(trained.weights)}
        arrays |= {f"state {name}": np.asarray(array) for name, array in trained.state.to_arrays().items()}
        np.savez(folder / f"{name} {rank}.npz", losses=trained.losses, valid=trained.valid, **arrays)
    found: dict[str, Any] = {"memory": ranks.recall("name")}
    found["results"] = ranks.together(lambda: {"rank": rank})
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

    ranks = ProcessRanks(rank, 2, timeout=10.0)  # a second meeting in the same store
    found["remembered"] = ranks.recall("name")
    (folder / f"found {rank}.json").write_text(json.dumps(found))
    ranks.together(lambda: None)
    if rank == 1:  # is lost: it does not answer
        while not (folder / "lost.txt").exists():
            time.sleep(0.01)
        os._exit(0)
    messages = []
    for call in (lambda: ranks.together(lambda: None), lambda: ranks.largest(1.0)):
        try:
            call()
        except RunError as error:
            messages.append(str(error))
    (folder / "lost.tmp").write_text("\n".join(messages))
    (folder / "lost.tmp").rename(folder / "lost.txt")


if __name__ == "__main__":
    main()
