"""The textbook's model, layer by layer as the chapter builds it."""

import numpy as np
from numpy.typing import DTypeLike

from elman.layers import TimeAffine, TimeSoftmaxWithLoss
from elman.models.rnnlm import RecurrentLM


class SimpleRnnlm(RecurrentLM):
    """The textbook model: TimeEmbedding → TimeRNN → TimeAffine → TimeSoftmaxWithLoss, float32.

    ``rng=None`` draws from NumPy's global stream in the order embedding, Wx, Wh, affine W, so that
    ``np.random.seed(0)`` gives the numbers of the textbook form.
    """

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
        rng: np.random.Generator | None = None,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        super().__init__(vocab_size, wordvec_size, hidden_size, rng=rng, dtype=dtype)

    def _output(self) -> TimeSoftmaxWithLoss:
        self.layers.append(TimeAffine(self.weights["output.W"], self.weights["output.b"]))
        return TimeSoftmaxWithLoss()
