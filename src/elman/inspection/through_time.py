"""Gradients through time: the gradient of ln P(token) with respect to each word vector read before it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.errors import ConfigError
from elman.inspection.network import Network, recurrent, target_gradient
from elman.inspection.text_properties import EncodedText
from elman.text_model import TextModel


@dataclass(frozen=True)
class ThroughTime:
    """One token of a text, its surprisal, and the norms of the gradients of its ln P.

    ``norms[t]`` is ‖∂ ln P(token) / ∂x_t‖, where x_t is the word vector (or one-hot input) read at step t. Step t reads
    token t of the text or, with ``after_start``, the model's start token at step 0 and token t - 1 at step t. Tokens
    that the vocabulary lacks are not read; their norms are 0.
    """

    coded: EncodedText
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
    """Return the gradient norms of ln P of token ``index`` (from 0) for each word vector read before it.

    Backpropagates through all steps from the text's beginning, without truncation. The model is not changed.

    Raises:
        NoHiddenUnits: the model is not a recurrent network.
        TextError: the text has no token.
        ConfigError: there is no token ``index``, or the vocabulary lacks it.
    """
    model = recurrent(text_model.model)
    coded = EncodedText.of(text_model, text)
    if not 0 <= index < len(coded.tokens):
        last = len(coded.tokens) - 1
        raise ConfigError(f"index must be that of a token of the text, 0 to {last}, got {index}")
    target = int(coded.ids[index])
    if target < 0:
        raise ConfigError(
            f"token {index}, {coded.tokens[index]!r}, is not in the vocabulary, so its probability is 0 in every "
            "context; choose another index"
        )
    network, ids = Network(model), coded.read(index)
    if not len(ids):
        h = np.zeros(model.output_size, network.weights["embedding"].dtype)
        ln_prob, _ = target_gradient(model, network, h, target)
        return ThroughTime(coded, index, ln_prob, np.zeros(index), False)
    ln_prob, dh = target_gradient(model, network, network.read(ids)[-1], target)
    norms = network.input_norms(network.backpropagate(dh))  # (steps,)
    start = int(coded.start_id is not None)  # steps before the first token
    all_norms = np.zeros(index + start)
    all_norms[:start] = norms[:start]
    all_norms[start:][coded.ids[:index] >= 0] = norms[start:]
    return ThroughTime(coded, index, ln_prob, all_norms, bool(start))
