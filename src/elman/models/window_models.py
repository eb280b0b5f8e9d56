"""The two models with a fixed window: CBOW (mean of the word vectors) and NPLM (concatenation, a hidden layer)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from elman.arrays import Array
from elman.backend import Backend
from elman.errors import ConfigError
from elman.layers import TimeAffine
from elman.layers.affine import TimeTanh
from elman.layers.base import Weight
from elman.layers.window import TimeWindowConcat, TimeWindowMean
from elman.models.parameters import check_sizes, plan_output
from elman.models.window import WindowLM


class CBOW(WindowLM):
    """P(next word | the last k words) = softmax(h·W + b), h the mean of their k vectors: "you say" = "say you".

    V is ``vocab_size``, D ``wordvec_size``, k ``window``; the other arguments are those of `WindowLM`.
    Source: T. Mikolov et al., Efficient estimation of word representations in vector space, 2013; there the window
    is on both sides, and the purpose is the vectors.
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


class NPLM(WindowLM):
    """P(next word | the last k words) = softmax(h·W + b), h = tanh(x·W_h + b_h), x their k vectors, concatenated.

    W_h is (k·D, H): it grows with the window. V is ``vocab_size``, D ``wordvec_size``, H ``hidden_size``, k
    ``window``; the other arguments are those of `WindowLM`.
    Source: Y. Bengio, R. Ducharme, P. Vincent and C. Jauvin, A neural probabilistic language model, JMLR 3 (2003),
    without its direct connections from the vectors to the output.
    """

    kind = "nplm"

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
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
        plan = self.plan(vocab_size, wordvec_size, hidden_size, window, tie_weights, embedding_scale)
        more: dict[str, Any] = {"weight_scale": weight_scale, "dtype": dtype, "weights": weights}
        super().__init__(window, plan, dropout, tie_weights, rng, backend=backend, **more)

    @staticmethod
    def plan(
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
        window: int,
        tie_weights: bool = False,
        embedding_scale: float = 0.01,
    ) -> dict[str, Weight]:
        """Return every weight's shape and scale. Raises ConfigError for a size < 1, or sizes that cannot be tied."""
        check_sizes(vocab_size=vocab_size, wordvec_size=wordvec_size, hidden_size=hidden_size, window=window)
        V, D, H, k = vocab_size, wordvec_size, hidden_size, window
        if tie_weights and D != H:
            raise ConfigError(
                f"tied weights need word vectors as wide as the hidden layer, got wordvec {D} and hidden {H}"
            )
        return {
            "embedding": Weight((V, D), embedding_scale),
            "hidden.W": Weight((k * D, H), (k * D) ** -0.5),
            "hidden.b": Weight((H,)),
            **plan_output(V, H, tie_weights),
        }

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.weights["hidden.b"].shape[0])

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The arguments of the constructor that make a model of the same shape."""
        return {**super().hyperparameters, "hidden_size": self.hidden_size}

    def _hidden_layers(self) -> list[Any]:
        W, b = self.weights["hidden.W"], self.weights["hidden.b"]
        return [TimeWindowConcat(self.window), TimeAffine(W, b), TimeTanh()]
