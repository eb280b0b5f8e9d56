"""How far back a prediction reaches: the gradient of ln P(token) with respect to each word vector read before it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.inspection.network import Network, recurrent, target_gradient
from elman.inspection.text_properties import CodedText
from elman.text_model import TextModel


@dataclass(frozen=True)
class ThroughTime:
    """One token of a text, its surprisal, and the norms of the gradients of its ln P.

    ``norms[t]`` is ‖∂ ln P(token) / ∂x_t‖, x_t the word vector (or one-hot input) read at step t. With
    ``after_start``, step 0 reads the token that a text begins after, and step t the text's token t - 1; without, step
    t reads token t. Tokens that the vocabulary lacks are not read: 0.
    """

    coded: CodedText
    index: int
    ln_prob: float
    norms: NDArray[np.float64]
    after_start: bool

    @property
    def token(self) -> str:
        """The token that is predicted."""
        return self.coded.tokens[self.index]

    @property
    def surprisal_bits(self) -> float:
        """-log2 P(token | past)."""
        return 0.0 - self.ln_prob / math.log(2)


def through_time(text_model: TextModel, text: str, index: int) -> ThroughTime:
    """Return how much each word vector before token ``index`` of a text, counted from 0, bears upon its ln P.

    By backpropagation through all steps since the text's beginning: nothing is truncated. The model is not changed.

    Raises:
        NoHiddenUnits: the model is not a recurrent network.
        TextError: the text holds no token.
        ConfigError: there is no token ``index``, or the vocabulary lacks it.
    """
    model = recurrent(text_model.model)
    coded = CodedText.of(text_model, text)
    if not 0 <= index < len(coded.tokens):
        last = len(coded.tokens) - 1
        raise ConfigError(f"index must be that of a token of the text, 0 to {last}, got {index}")
    target = int(coded.ids[index])
    if target < 0:
        raise ConfigError(
            f"token {index}, {coded.tokens[index]!r}, is not in the vocabulary: its probability is 0 whatever "
            "stands before; choose another index"
        )
    network, ids = Network(model), coded.read(index)
    if not len(ids):
        h = np.zeros(model.hidden_size, network.weights["0.b"].dtype)
        ln_prob, _ = target_gradient(model, network, h, target)
        return ThroughTime(coded, index, ln_prob, np.zeros(index), False)
    ln_prob, dh = target_gradient(model, network, network.read(ids)[-1], target)
    norms = network.input_norms(network.lead_back(dh))  # (steps,)
    begun = int(coded.start_id is not None)
    every = np.zeros(index + begun)
    every[:begun] = norms[:begun]
    every[begun:][coded.ids[:index] >= 0] = norms[begun:]
    return ThroughTime(coded, index, ln_prob, every, bool(begun))
