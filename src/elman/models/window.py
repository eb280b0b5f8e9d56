"""`WindowLM`: the base of the neural models that see only the last k words."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from elman.arrays import Array, as_ids, as_number, as_rows, time_major, to_numpy, zeros
from elman.backend import Backend
from elman.errors import ShapeError
from elman.layers import TimeAffineSoftmaxWithLoss, TimeDropout
from elman.layers.base import Weight
from elman.layers.output import log_probs, target_log_probs
from elman.layers.window import TimePaddedEmbedding
from elman.models.base import BEFORE_TEXT, Ids, LogProbs, Mask, Past, checked_ids, checked_mask
from elman.models.parameters import draw_weights
from elman.one_line import one_line, parameters
from elman.workers import Pool


class WindowLM(ABC):
    """P(next word | the last k words): the base of `CBOW` and `NPLM`.

    Places of the window before the beginning of the text hold zero vectors. Training calls `forward` and `backward`;
    the last k words of every sequence are carried from block to block. The LanguageModel methods use separate layers
    on the same weights, without dropout.

    Args:
        window: k, the number of words that the next one is predicted from.
        plan: shapes and scales of the weights.
        dropout: fraction dropped of the word vectors and of the output layer's input.
        tie_weights: use the word vectors as the output matrix too (needs the same width).
        rng: draws the weights and the dropout masks; None: NumPy's global generator draws the weights.
        weight_scale: see `draw_weights`.
        dtype: float32, or float64 for gradient checks.
        weights: named weights to use (not copied) instead of drawn ones.
        backend: where the weights are put (NumPy always draws them); None leaves them where they are.
    """

    kind: ClassVar[str]
    ranks = None  # only recurrent models can have an adaptive softmax

    def __init__(
        self,
        window: int,
        plan: dict[str, Weight],
        dropout: float = 0.0,
        tie_weights: bool = False,
        rng: np.random.Generator | None = None,
        *,
        weight_scale: float | None = None,
        dtype: DTypeLike = np.float32,
        weights: Mapping[str, Array] | None = None,
        backend: Backend | None = None,
    ) -> None:
        if weights is None:
            weights = draw_weights(plan, weight_scale, rng, dtype)
        self.backend = Backend.of(weights) if backend is None else backend
        self.weights = {name: self.backend.place(weight) for name, weight in weights.items()}
        self.window, self.dropout, self.tie_weights = window, dropout, tie_weights
        self.dropout_rng = rng if rng is not None else np.random.default_rng()

        self.embedding = TimePaddedEmbedding(self.weights["embedding"], tied=tie_weights)
        self._readers = Pool(self._new_reader)
        drop = [TimeDropout(dropout, self.dropout_rng) for _ in range(2)] if dropout else []
        self.layers: list[Any] = [self.embedding, *drop[:1], *self._hidden_layers(), *drop[1:]]
        dW = self.embedding.grads[0].T if tie_weights else None
        self.loss_layer = TimeAffineSoftmaxWithLoss(*self.loss_weights, dW)
        self._past: NDArray[np.int64] | None = None  # (N, k)

        pairs = [p for layer in self.layers for p in zip(layer.params, layer.grads, strict=True)]
        own = slice(1 if tie_weights else 0, None)  # a tied output matrix is listed with the embedding
        pairs += [*zip(self.loss_layer.params, self.loss_layer.grads, strict=True)][own]
        self.params: list[Array] = [param for param, _ in pairs]
        self.grads: list[Array] = [grad for _, grad in pairs]

    def __repr__(self) -> str:
        return one_line(
            self,
            f"window {self.window}",
            f"word vectors {self.wordvec_size}",
            f"vocabulary {self.vocab_size:,}",
            parameters(self.params),
        )

    def _new_reader(self) -> list[Any]:
        """Return layers on the model's weights, with buffers of their own, for one call that reads."""
        return [TimePaddedEmbedding(self.weights["embedding"]), *self._hidden_layers()]

    @abstractmethod
    def _hidden_layers(self) -> list[Any]:
        """Return new layers, on the model's weights, from word vectors to the hidden representation of every window."""

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens."""
        return int(self.weights["embedding"].shape[0])

    @property
    def wordvec_size(self) -> int:
        """D."""
        return int(self.weights["embedding"].shape[1])

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The arguments of the constructor that make a model of the same shape."""
        return {
            "vocab_size": self.vocab_size,
            "wordvec_size": self.wordvec_size,
            "window": self.window,
            "dropout": self.dropout,
            "tie_weights": self.tie_weights,
        }

    # Training

    def forward(self, xs: Array, ts: Array) -> float:
        """Return the mean loss in nats of predicting ts (N, T) from xs (N, T) and the carried words."""
        text = self._text_with_past(xs)
        with self.backend.training():
            hs: Array = text[:, 1:]  # the first target's window ends with the first of xs
            for layer in self.layers:
                hs = layer.forward(hs)
            loss: float = as_number(self.loss_layer.forward(hs, ts))
        self._past = text[:, text.shape[1] - self.window :]
        return loss

    def backward(self, dout: float = 1.0) -> None:
        """Write the gradients of dout·loss to ``grads``; they are exact, not truncated in time."""
        with self.backend.training():
            dhs = self.loss_layer.backward(dout)
            for layer in reversed(self.layers):
                dhs = layer.backward(dhs)

    @property
    def grad_rows(self) -> list[Array | None]:
        """For each of ``grads``, the rows that may be non-zero; None for all rows."""
        return [self.embedding.rows, *[None] * (len(self.grads) - 1)]

    def train_mode(self, train_flg: bool = True) -> None:
        """Switch training on or off: dropout, and the gradients computed in `forward`."""
        for layer in (*self.layers, self.loss_layer):
            if hasattr(layer, "train_flg"):
                layer.train_flg = train_flg

    def reset_state(self, rows: Ids | None = None) -> None:
        """Forget the carried words, of these sequences or of all: their text begins with the next block."""
        if rows is None or self._past is None:
            self._past = None
        else:
            self._past = self._past.copy()
            self._past[rows] = BEFORE_TEXT

    def carried_state(self) -> Past | None:
        """Return the last words before the next training block; None if there are none."""
        return None if self._past is None else Past.of(self._past)

    def carry(self, state: Past | None) -> None:
        """Set the last words before the next training block; None: the text begins with it."""
        self._past = None if state is None else state.array(self.window)

    def _text_with_past(self, xs: Array) -> NDArray[np.int64]:
        """Return the carried words and xs (N, T): (N, k + T)."""
        ids = checked_ids(to_numpy(xs), len(xs), self.vocab_size)
        past = self._past
        if past is None:
            past = np.full((len(ids), self.window), BEFORE_TEXT, np.int64)
        if len(past) != len(ids):
            raise ShapeError(
                f"the carried words have {len(past)} sequences but this block has {len(ids)}; "
                "call reset_state() before changing the number of sequences"
            )
        return np.concatenate([past, ids], axis=1)

    # LanguageModel

    def start(self, batch_size: int = 1) -> Past:
        """Return the initial state of N sequences, which have read nothing."""
        return Past(((BEFORE_TEXT,) * self.window,) * batch_size)

    def feed(self, ids: Ids, state: Past) -> Past:
        """Read ids (N, T) after ``state``; return the state that follows."""
        return self._read(ids, state)[1]

    def next_log_probs(self, state: Past) -> LogProbs:
        """Return ln P(next = v | past) for every v: (N, V)."""
        with self.backend.reading(), self._readers.borrow() as reader:
            rows = self._rows(reader, state.array(self.window))  # (N, H)
            return np.array(to_numpy(log_probs(rows, *self.loss_weights)))

    def target_log_probs(self, ids: Ids, state: Past, counted: Mask | None = None) -> tuple[LogProbs, Past]:
        """Return ln P(ids[n, t] | past of sequence n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False, the result is 0 and no scores of V words are computed.
        """
        text, after = self._read(ids, state)
        N, T = len(text), text.shape[1] - self.window
        places = np.arange(T * N)
        if counted is not None:
            (places,) = np.nonzero(checked_mask(counted, (N, T)).T.reshape(-1))
        with self.backend.reading(), self._readers.borrow() as reader:
            rows = self._rows(reader, text[:, :-1])  # (T·N, H)
            targets, chosen = (
                as_ids(time_major(text[:, self.window :]).reshape(-1), rows),
                zeros((T * N,), rows),
            )
            places = as_ids(places, rows)
            chosen[places] = target_log_probs(rows[places], targets[places], *self.loss_weights)
        return np.array(to_numpy(chosen.reshape(T, N).T)), after

    @property
    def loss_weights(self) -> tuple[Array, Array]:
        """W (H, V) and b (V,) of the output."""
        W = self.weights["embedding"].T if self.tie_weights else self.weights["output.W"]
        return W, self.weights["output.b"]

    def _read(self, ids: Ids, state: Past) -> tuple[NDArray[np.int64], Past]:
        """Return the words of the state followed by ids, (N, k + T), and the state after them."""
        ids = checked_ids(ids, state.batch_size, self.vocab_size)
        text = np.concatenate([state.array(self.window), ids], axis=1)
        return text, Past.of(text[:, ids.shape[1] :])

    def _rows(self, reader: list[Any], text: NDArray[np.int64]) -> Array:
        """Return the hidden representation (T·N, H) of the T windows of text (N, k - 1 + T), in the reader's buffer."""
        hs: Array = text
        for layer in reader:
            hs = layer.forward(hs)
        return as_rows(time_major(hs))
