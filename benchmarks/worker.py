"""The process of one peer: ``python worker.py PEER WORKLOAD INPUTS``; see `elman.benchmark.worker`."""

import importlib
import sys
from pathlib import Path


def main() -> None:
    sys.path.append(str(Path(__file__).parents[1] / "src"))  # for a Python that has JAX but not elman
    from elman.benchmark.worker import serve
    from inputs import load_inputs
    from peers import KINDS
    from workloads import WORKLOADS

    name, workload, path = sys.argv[1:]
    kind = KINDS[name]
    serve(
        lambda: importlib.import_module(f"peers.{kind.module}"),
        lambda module: module.build(WORKLOADS[workload], load_inputs(Path(path)), kind.variant),
    )


if __name__ == "__main__":
    main()
