"""Every module of elman can be imported without the modules that Python lacks on Windows."""

import os
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
POSIX_ONLY = ("fcntl", "grp", "pwd", "resource", "termios")

IMPORT_ALL = """
import importlib, pkgutil, sys

# The libraries may use POSIX modules where there are some, so they are loaded before these are blocked.
for library in ("asyncio", "multiprocessing", "subprocess", "tempfile", "click", "jiwer", "matplotlib.figure", "numba",
                "numpy", "pooch", "starlette.testclient", "threadpoolctl", "tokenizers", "torch", "tqdm", "uvicorn"):
    try:
        importlib.import_module(library)
    except ImportError:
        pass  # an extra that is not installed
import elman


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[1:]:
            raise ImportError(f"Windows has no module {name!r}")


sys.meta_path.insert(0, Blocker())
for name in sys.argv[1:]:
    sys.modules.pop(name, None)
for module in pkgutil.walk_packages(elman.__path__, "elman."):
    if module.name != "elman.__main__":  # it starts the command line
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            if "Windows has no module" in str(error):
                print(f"{module.name}: {error}")
"""


def test_every_module_can_be_imported_without_posix_modules() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *POSIX_ONLY],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
