"""Regularisation of a recurrent language model: dropout at various places and penalties, during training only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from elman.errors import ConfigError
from elman.layers.dropout import Span, TimeDropout, WeightDropout
from elman.layers.penalty import TimeActivationPenalty, TimeTemporalPenalty
from elman.layers.residual import TimeResidualBlock


@dataclass(frozen=True)
class Regularisation:
    """The regularisation of a `RecurrentLM` in addition to its ``dropout``; none by default.

    Args:
        dropout_mask: "step" draws the dropped units for every step, "block" once for a block.
        input_dropout: fraction dropped of the word vectors; None: ``dropout``.
        output_dropout: fraction dropped of the output layer's input; None: ``dropout``.
        embedding_dropout: fraction of the vocabulary dropped in a block, at every occurrence.
        recurrent_dropout: fraction dropped of every layer's Wh in a block (DropConnect).
        activation_penalty: α of `TimeActivationPenalty`, after the last layer's dropout.
        temporal_penalty: β of `TimeTemporalPenalty`, before it.

    Sources: Y. Gal and Z. Ghahramani, NIPS 2016 (one mask through time, words dropped);
    S. Merity, N. S. Keskar and R. Socher, ICLR 2018 (a rate for each place, and all of it together);
    those of the layers are in their modules.

    Raises:
        ConfigError: a fraction is not in [0, 1), a penalty is negative, or dropout_mask is neither value.
    """

    dropout_mask: Span = "step"
    input_dropout: float | None = None
    output_dropout: float | None = None
    embedding_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    activation_penalty: float = 0.0
    temporal_penalty: float = 0.0

    def __post_init__(self) -> None:
        if self.dropout_mask not in get_args(Span):
            raise ConfigError(f"dropout_mask must be 'step' or 'block', got {self.dropout_mask!r}")
        for name in ("input_dropout", "output_dropout"):
            rate = getattr(self, name)
            if rate is not None and not 0 <= rate < 1:
                raise ConfigError(f"{name} must be in [0, 1), or None for the value of dropout; got {rate}")
        for name in ("embedding_dropout", "recurrent_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        for name in ("activation_penalty", "temporal_penalty"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be ≥ 0 and finite, got {getattr(self, name)}")

    def around(
        self,
        embedding: Any,
        recurrent: Sequence[Any],
        dropout: float,
        rng: np.random.Generator,
        one_hot: bool = False,
    ) -> list[Any]:
        """Return these layers in order, with the regularising layers between them; a one-hot input is not dropped.

        Raises:
            ConfigError: ``input_dropout`` is set and the input is one-hot.
        """
        if one_hot and self.input_dropout:
            raise ConfigError(
                f"`input_dropout={self.input_dropout}` drops word vectors, but the input is one-hot (wordvec 0); "
                "leave it out, or use `embedding_dropout`, which drops words"
            )
        ends = self.input_dropout, self.output_dropout
        first, last = (dropout if rate is None else rate for rate in ends)
        self._drop_weights(embedding, recurrent, rng)
        layers = [embedding, *self._dropout_layer(0.0 if one_hot else first, rng)]
        for k, rnn in enumerate(recurrent):
            if isinstance(rnn, TimeResidualBlock):
                for branch in rnn.branches:
                    branch.dropout = TimeDropout(dropout, rng, self.dropout_mask) if dropout else None
            elif k:
                layers += self._dropout_layer(dropout, rng)
            layers.append(rnn)
        if self.temporal_penalty:
            layers.append(TimeTemporalPenalty(self.temporal_penalty))
        layers += self._dropout_layer(last, rng)
        if self.activation_penalty:
            layers.append(TimeActivationPenalty(self.activation_penalty))
        return layers

    def _drop_weights(self, embedding: Any, recurrent: Sequence[Any], rng: np.random.Generator) -> None:
        if self.embedding_dropout:
            (W,) = embedding.params
            embedding.dropout = WeightDropout(self.embedding_dropout, (len(W), 1), rng)
        if self.recurrent_dropout:
            for rnn in recurrent:
                cell = rnn.recurrence
                if not hasattr(cell, "Wh"):
                    raise ConfigError(
                        f"`recurrent_dropout={self.recurrent_dropout}` drops weights of Wh, which a "
                        f"{type(cell).__name__} has not; leave it out, or use `dropout`"
                    )
                cell.dropout = WeightDropout(self.recurrent_dropout, tuple(cell.Wh.shape), rng)

    def _dropout_layer(self, rate: float, rng: np.random.Generator) -> list[Any]:
        return [TimeDropout(rate, rng, self.dropout_mask)] if rate else []


NONE = Regularisation()
