"""The gradients of a lesson: how much of the answer's gradient gets back to the name, from the first batch on.

A trained network alone says little about this. Once the answer is certain and the gates are nearly open or closed, all
gradients are small, whatever the network remembers. So they are recorded while the networks learn.
"""

from collections.abc import Sequence
from typing import Any

from elman.inspection.network import Network, target_gradient
from elman.models.base import Ids
from elman.models.recurrent import RecurrentLM

RECORDED = frozenset({0, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 400})  # batches


class AnswerGradients:
    """The norms ‖∂ ln P(right answer) / ∂x_t‖ of networks in training, for the words of one question.

    x_t is a word vector; `<eos>`, which is read first, is left out. The gradient flows through the whole question,
    also where training cuts it after T words.
    """

    def __init__(self, networks: Sequence[RecurrentLM], question: Ids, right: int) -> None:
        self._networks, self._question, self._right = networks, question[0], right
        self._kept: list[dict[str, Any]] = []

    def record(self, batches: int) -> None:
        """Keep the norms after so many batches, if that is one of the numbers in RECORDED."""
        if batches in RECORDED:
            self._kept.append(self._now(batches))

    def report(self, batches: int) -> list[dict[str, Any]]:
        """Return what was kept and what the norms are now, as JSON: ``norms`` has a list of each network."""
        if self._kept and self._kept[-1]["batches"] == batches:
            return list(self._kept)
        return [*self._kept, self._now(batches)]

    def _now(self, batches: int) -> dict[str, Any]:
        norms = []
        for model in self._networks:
            network = Network(model)
            h = network.read(self._question)[-1]
            _, dh = target_gradient(model, network, h, self._right)
            norms.append(network.input_norms(network.backpropagate(dh))[1:].tolist())
        return {"batches": batches, "norms": norms}
