"""CBOW used as a language model: the mean of the k words to the left, whose order is lost."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from elman.arrays import Array
from elman.backend import Backend
from elman.layers.window import TimeWindowMean
from elman.models.weights import Weight, check_sizes, plan_output
from elman.models.window import WindowLM


class CBOW(WindowLM):
    """P(next word | the last k words) = softmax(h·W + b), h the mean of their k vectors: "you say" = "say you".

    V is ``vocab_size``, D ``wordvec_size``, k ``window``; the other arguments are those of `WindowLM`.
    Source: T. Mikolov et al., Efficient estimation of word representations in vector space, 2013, there with the
    words on both sides and for the sake of the vectors.
    """

    kind = "cbow"

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        window: int = 5,
        dropout: float = 0.0,
        tie_weights: bool = False,
        rng: np.random.Generator | None = None,
        *,
        weight_scale: float | None = None,
        embedding_scale: float = 0.01,
        dtype: DTypeLike = np.float32,
        weights: Mapping[str, Array] | None = None,
        backend: Backend | None = None,
    ) -> None:
        plan = self.plan(vocab_size, wordvec_size, window, tie_weights, embedding_scale)
        more: dict[str, Any] = {"weight_scale": weight_scale, "dtype": dtype, "weights": weights}
        super().__init__(window, plan, dropout, tie_weights, rng, backend=backend, **more)

    @staticmethod
    def plan(
        vocab_size: int,
        wordvec_size: int,
        window: int,
        tie_weights: bool = False,
        embedding_scale: float = 0.01,
    ) -> dict[str, Weight]:
        """Return every weight's shape and scale. Raises ConfigError for a size below 1."""
        check_sizes(vocab_size=vocab_size, wordvec_size=wordvec_size, window=window)
        V, D = vocab_size, wordvec_size
        return {"embedding": Weight((V, D), embedding_scale), **plan_output(V, D, tie_weights)}

    def _hidden_layers(self) -> list[Any]:
        return [TimeWindowMean(self.window)]
