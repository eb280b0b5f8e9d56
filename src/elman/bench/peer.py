"""Who does a work: elman, PyTorch, or the floor."""

import importlib
from typing import Protocol

from elman.bench.inputs import Inputs
from elman.bench.works import Work

WORDS_A_STEP = 100  # a step of scoring word by word
PEERS = {"elman": "ours", "torch": "pytorch", "floor": "floor"}  # name: module


class Peer(Protocol):
    """One way to do a work. It keeps its place in the text from call to call."""

    def run(self, steps: int) -> tuple[list[float], int]:
        """Do the next steps; return the loss of each in nats a token (none for the floor), and the tokens."""
        ...


class PeerModule(Protocol):
    """A file that holds a peer."""

    def build(self, work: Work, inputs: Inputs) -> Peer:
        """Make the peer of a work."""
        ...


def load(name: str) -> PeerModule:
    """Import a peer, and with it the libraries that it needs. Raises ImportError where one is missing."""
    module: PeerModule = importlib.import_module(f"elman.bench.{PEERS[name]}")
    return module
