"""The recurrent language models: `RecurrentLM`, and the textbook's `SimpleRnnlm`."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from elman.arrays import Array, as_ids, as_number, batch_major, empty, namespace, time_major, to_numpy, zeros
from elman.backend import Backend
from elman.errors import ConfigError
from elman.layers import TimeAffine, TimeEmbedding, TimeLSTM, TimeSoftmaxWithLoss
from elman.layers import adaptive as adaptive_output
from elman.layers.bfloat16_matrix import Bfloat16Matrix, is_product
from elman.layers.dropout import dropouts_of
from elman.layers.kernels import kernels_for
from elman.layers.output import log_probs, target_log_probs
from elman.layers.penalty import TimePenalty
from elman.layers.recurrent import StatefulLayer
from elman.layers.reduced import OutputDtype, ReducedMatrix
from elman.models import wavefront
from elman.models.base import Ids, LogProbs, Mask, checked_ids, checked_mask
from elman.models.clusters import checked_ranks
from elman.models.parameters import (
    CELLS,
    Block,
    Init,
    adaptive_softmax_layer,
    draw_weights,
    output_size,
    plan_weights,
    recurrent_layers,
    softmax_layer,
)
from elman.models.recurrent_state import RecurrentState, put_state, state_of
from elman.models.regularisation import NONE, Regularisation
from elman.numba_jit import can_jit
from elman.one_line import one_line, parameters
from elman.workers import Pool

# Every layer keeps what its gradient would need, ten to forty numbers for each of its units and every row that it read.
NUMBERS_AT_ONCE = 1 << 22  # rows·units·layers that are read at a time
LEAST_ROWS = 64


class RecurrentLM:
    """A recurrent language model: embedding, a stack of recurrent layers, and a softmax over the vocabulary.

    Args:
        vocab_size: V.
        wordvec_size: D; 0 for one-hot input.
        hidden_size: H of every layer; in residual blocks that of the cell.
        cell: "rnn" (Elman), "lstm", "gru", "mogrifier", or an elementwise one, which is faster: "mingru", "minlstm",
            "fpool", "qrnn", "sru" or "rglru"; or "rwkv4", "rwkv7", "mamba" or "mamba2", whose layers are residual
            blocks of width D by themselves (for RWKV, H is then D).
        layers: number of recurrent layers.
        dropout: fraction dropped after the embedding, between layers and before the output; in residual blocks of
            what each branch adds, instead of between them.
        tie_weights: use the word vectors as the output matrix too (needs D = H, or residual blocks).
        rng: draws the weights and the dropout masks; None: NumPy's global generator draws the weights.
        adaptive: the cutoffs of an adaptive softmax, for large vocabularies; None: a softmax over all words.
        ranks: with ``adaptive``, the frequency rank (V,) of each id (see `frequency_ranks`); None: the ids are in
            order of decreasing frequency.
        block: "plain" stacks the recurrent layers; "residual" puts each into a `TimeResidualBlock`, whose width is D.
        mlp: width of the gated MLP of a residual block; 0 for none.
        sizes: further sizes of a cell that is a block by itself, see ``plan`` of its class; those left out are the
            usual ones.
        regularisation: further regularisation of training; it does not affect the LanguageModel methods.
        weight_scale, embedding_scale, init: see `draw_weights` and `plan_weights`.
        dtype: float32, or float64 for gradient checks.
        weights: named weights to use (not copied) instead of drawn ones.
        backend: where the weights are put (NumPy always draws them); None leaves them where they are.

    Training calls `forward` and `backward`; the layers carry the hidden state from block to block. The LanguageModel
    methods (`start`, `feed`, `next_log_probs`, `target_log_probs`) use separate layers on the same weights, without
    dropout, and do not touch that state.
    """

    def __init__(
        self,
        vocab_size: int,
        wordvec_size: int,
        hidden_size: int,
        cell: str = "rnn",
        layers: int = 1,
        dropout: float = 0.0,
        tie_weights: bool = False,
        rng: np.random.Generator | None = None,
        *,
        adaptive: Sequence[int] | None = None,
        ranks: Ids | None = None,
        block: Block = "plain",
        mlp: int = 0,
        sizes: Mapping[str, int] | None = None,
        regularisation: Regularisation = NONE,
        weight_scale: float | None = None,
        embedding_scale: float = 0.01,
        init: Init = "normal",
        dtype: DTypeLike = np.float32,
        weights: Mapping[str, Array] | None = None,
        backend: Backend | None = None,
    ) -> None:
        if adaptive is not None and weights is not None and ranks is None:
            raise ConfigError(
                "weights of an adaptive softmax were given without their ranks; pass `ranks`, too"
            )
        if weights is None:
            plan = plan_weights(
                vocab_size,
                wordvec_size,
                hidden_size,
                cell,
                layers,
                tie_weights,
                embedding_scale,
                adaptive,
                block,
                mlp,
                sizes,
            )
            weights = draw_weights(plan, weight_scale, rng, dtype, init)
        self.backend = Backend.of(weights) if backend is None else backend
        self.weights = {name: self.backend.place(weight) for name, weight in weights.items()}
        self.reduced_output: ReducedMatrix | None = None
        self.adaptive = self.ranks = None
        if adaptive is not None:
            self.adaptive = tuple(adaptive)
            self.ranks = checked_ranks(np.arange(vocab_size) if ranks is None else ranks, vocab_size)
        self.cell, self.dropout, self.tie_weights = cell, dropout, tie_weights
        self.wordvec_size = wordvec_size
        self.hidden_size: int = CELLS[cell].hidden_size(wordvec_size, hidden_size)
        self.block, self.mlp, self.sizes = block, mlp, dict(sizes or {})
        self.dropout_rng = rng if rng is not None else np.random.default_rng()

        self.embedding = TimeEmbedding(self.weights["embedding"], tied=tie_weights)
        self.rnn_layers: list[StatefulLayer] = recurrent_layers(cell, self.weights, layers, block)
        self.layers: list[Any] = regularisation.around(
            self.embedding, self.rnn_layers, dropout, self.dropout_rng, one_hot=not wordvec_size
        )
        self.loss_layer: Any = self._output()
        self._readers = Pool(self._new_reader)

        self.params: list[Array] = []
        self.grads: list[Array] = []
        for layer in (*self.layers, self.loss_layer):
            for param, grad in zip(layer.params, layer.grads, strict=True):
                if not (tie_weights and layer is self.loss_layer and param.ndim == 2):
                    self.params.append(param)
                    self.grads.append(grad)

    def __repr__(self) -> str:
        return one_line(
            self,
            f"{self.cell.upper()} {len(self.rnn_layers)}×{self.hidden_size}",
            "residual blocks" if self.block == "residual" else "",
            f"MLP {self.mlp}" if self.mlp else "",
            f"word vectors {self.wordvec_size}" if self.wordvec_size else "one-hot input",
            f"vocabulary {self.vocab_size:,}",
            "" if self.reduced_output is None else f"output weights {self.reduced_output.dtype}",
            parameters(self.params),
        )

    def _new_reader(self) -> list[Any]:
        """Return layers on the model's weights, with buffers of their own, for one call that reads."""
        cells = recurrent_layers(self.cell, self.weights, len(self.rnn_layers), self.block)
        return [TimeEmbedding(self.weights["embedding"]), *cells]

    def _output(self) -> Any:
        """Return the loss layer; layers that it needs before it are appended to ``layers``."""
        if self.adaptive is not None:
            return adaptive_softmax_layer(self.weights, self.adaptive, self.ranks)
        return softmax_layer(self.weights, self.embedding if self.tie_weights else None)

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens."""
        return int(self.weights["embedding"].shape[0])

    @property
    def output_size(self) -> int:
        """The width of the top layer's h, which the softmax reads."""
        return output_size(self.block, self.wordvec_size, self.hidden_size, self.cell)

    @property
    def rnn_layer(self) -> StatefulLayer:
        """The first recurrent layer."""
        return self.rnn_layers[0]

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """The arguments of the constructor that make a model of the same shape."""
        shape: dict[str, Any] = {
            "vocab_size": self.vocab_size,
            "wordvec_size": self.wordvec_size,
            "hidden_size": self.hidden_size,
            "cell": self.cell,
            "layers": len(self.rnn_layers),
            "dropout": self.dropout,
            "tie_weights": self.tie_weights,
        }
        if self.block != "plain":  # so that older versions read the files of plain models
            shape |= {"block": self.block, "mlp": self.mlp}
        if self.sizes:
            shape["sizes"] = self.sizes
        return shape if self.adaptive is None else {**shape, "adaptive": list(self.adaptive)}

    # Training

    def forward(self, xs: Array, ts: Array) -> float:
        """Return the mean loss in nats of predicting ts (N, T) from xs (N, T), after the carried state."""
        with self.backend.training():
            embedding, *layers = self.layers
            xs = embedding.forward(xs)
            if wavefront.applies(layers, self.loss_layer):
                return wavefront.forward(layers, self.loss_layer, xs, ts)
            for layer in layers:
                xs = layer.forward(xs)
            loss: float = as_number(self.loss_layer.forward(xs, ts))
            return loss

    def backward(self, dout: float = 1.0) -> None:
        """Write the gradients of dout·(loss + penalties) to ``grads``: backpropagation through the block's steps."""
        self.reduced_output = None  # the weights are going to change
        with self.backend.training():
            dxs = self.loss_layer.backward(dout)
            embedding, *layers = self.layers
            for layer in layers:
                if isinstance(layer, TimePenalty):
                    layer.dout = dout
            if wavefront.applies(layers, self.loss_layer):
                dxs = wavefront.backward(layers, dxs)
            else:
                for layer in reversed(layers):
                    dxs = layer.backward(dxs)
            embedding.backward(dxs)

    @property
    def grad_rows(self) -> list[Array | None]:
        """For each of ``grads``, the rows that may be non-zero; None for all rows."""
        rows: list[Array | None] = [self.embedding.rows, *[None] * (len(self.grads) - 1)]
        if self.adaptive is not None:
            rows[-len(self.loss_layer.grads) :] = self.loss_layer.grad_rows
        return rows

    def train_mode(self, train_flg: bool = True) -> None:
        """Switch training on or off: dropout, penalties, and the gradients computed in `forward`."""
        dropouts = (dropout for layer in self.layers for dropout in dropouts_of(layer))
        for part in (*self.layers, self.loss_layer, *dropouts):
            if hasattr(part, "train_flg"):
                part.train_flg = train_flg

    def reset_state(self, rows: Ids | None = None) -> None:
        """Set the carried state to zeros, for these sequences or for all."""
        for rnn in self.rnn_layers:
            if rows is None:
                rnn.reset_state()
                continue
            for carried in rnn.carried().values():
                if carried is not None:
                    carried[as_ids(rows, carried)] = 0

    def carried_state(self) -> RecurrentState | None:
        """Return a copy of the state from which the next training block starts; None for zeros."""
        return None if self.rnn_layer.h is None else state_of(self.rnn_layers)

    def carry(self, state: RecurrentState | None) -> None:
        """Set the state from which the next training block starts; None for zeros."""
        if state is None:
            self.reset_state()
        else:
            put_state(self.rnn_layers, state)

    # LanguageModel

    def start(self, batch_size: int = 1) -> RecurrentState:
        """Return the initial state of N sequences: zeros."""
        like = self.weights["embedding"]
        of_layers = [
            {name: zeros((batch_size, width), like) for name, width in rnn.state_widths.items()}
            for rnn in self.rnn_layers
        ]
        return RecurrentState.of(of_layers)

    def feed(self, ids: Ids, state: RecurrentState) -> RecurrentState:
        """Read ids (N, T) after ``state``; return the state that follows."""
        with self._readers.borrow() as reader:
            return self._read(reader, ids, state)[1]

    def hidden(self, ids: Ids, state: RecurrentState) -> Array:
        """Return the top layer's h that each of ids (N, T) is predicted from, the state's own first: (N, T, H)."""
        with self._readers.borrow() as reader:
            hs, _ = self._read(reader, ids, state)
            return namespace(hs).concatenate((state.h[-1][:, None], hs), 1)[:, :-1]

    def next_log_probs(self, state: RecurrentState) -> LogProbs:
        """Return ln P(next = v | past) for every v: (N, V)."""
        with self.backend.reading():
            if self.adaptive is None:
                found = log_probs(state.h[-1], *self.loss_weights, self.reduced_output)
            else:
                found = adaptive_output.log_probs(state.h[-1], self.loss_layer.weights)
        return np.array(to_numpy(found))

    def target_log_probs(
        self, ids: Ids, state: RecurrentState, counted: Mask | None = None
    ) -> tuple[LogProbs, RecurrentState]:
        """Return ln P(ids[n, t] | past of sequence n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False, the result is 0 and no scores of V words are computed.
        """
        if counted is None and (after := self._read_word(ids, state)) is not None:
            return np.array(self._score(state.h[-1], np.asarray(ids)[0])[None]), after
        log_probs, _, after = self.target_log_probs_and_hidden(ids, state, counted)
        return log_probs, after

    def _read_word(self, ids: Ids, state: RecurrentState) -> RecurrentState | None:
        """Return the state after one word (1, 1), by one call for each layer; None where this is not possible.

        With one word a call, the preparations of a block take as long as its products.
        """
        ids, embedding = np.asarray(ids), self.weights["embedding"]
        if not (
            self._reads_words and ids.shape == (1, 1) == (state.batch_size, 1) and ids.dtype.kind in "iu"
        ):
            return None
        if not 0 <= ids[0, 0] < self.vocab_size:
            return None
        x, hs, cs = embedding[ids[0, 0]], [], []
        for layer, h, c in zip(self.rnn_layers, state.h, state.c, strict=True):
            assert isinstance(layer, TimeLSTM)
            after, work = np.empty((2, 1, layer.H), x.dtype), np.empty((3, 4 * layer.H), x.dtype)
            kernels_for(x).lstm_word(
                x, layer.projection.Wx, layer.Wh, layer.b, h, c, after[0], after[1], work
            )
            hs.append(after[0])
            cs.append(after[1])
            x = after[0, 0]
        return RecurrentState(hs, cs)

    @cached_property
    def _reads_words(self) -> bool:
        """Whether `_read_word` is possible: with compiled loops, for LSTM layers that read word vectors."""
        layers_fit = all(type(layer) is TimeLSTM for layer in self.rnn_layers)
        return layers_fit and bool(self.wordvec_size) and can_jit(self.weights["embedding"])

    def target_log_probs_and_hidden(
        self, ids: Ids, state: RecurrentState, counted: Mask | None = None
    ) -> tuple[LogProbs, Array, RecurrentState]:
        """Return the results of `target_log_probs` and, between them, that of `hidden`, in one pass."""
        with self._readers.borrow() as reader:
            hs, after = self._read(reader, ids, state)
            N, T, H = hs.shape
            past = namespace(hs).concatenate((state.h[-1][None], time_major(hs)))[:T]  # (T, N, H), a copy
        rows, targets = past.reshape(T * N, H), time_major(as_ids(ids, past)).reshape(-1)
        if counted is None:
            chosen = self._score(rows, targets)
        else:
            (places,) = np.nonzero(checked_mask(counted, (N, T)).T.reshape(-1))
            places = as_ids(places, past)
            chosen = zeros((T * N,), past)
            chosen[places] = self._score(rows[places], targets[places])
        return np.array(to_numpy(chosen.reshape(T, N).T)), batch_major(past), after

    def _score(self, rows: Array, targets: Array) -> Array:
        """Return ln P(target) as (K,) for hidden rows (K, H) and targets (K,)."""
        with self.backend.reading():
            if self.adaptive is None:
                return target_log_probs(rows, targets, *self.loss_weights, reduced=self.reduced_output)
            return adaptive_output.target_log_probs(rows, targets, self.loss_layer.weights)

    def reduce_output(self, dtype: OutputDtype) -> None:
        """Round the output weights to ``dtype``, in place, and keep their reduced form for reading few words at a time.

        It takes V·H·2 bytes for "bfloat16" or V·(H + 4) for "int8", besides the rounded weights. With tied weights,
        the word vectors are the output weights. Training ends the use of the reduced form, not the rounding.

        Raises:
            ConfigError: the model has an adaptive softmax, or its weights are not float32 arrays of NumPy.
        """
        if dtype == "float32":
            return
        if self.adaptive is not None:
            raise ConfigError(
                "the output of an adaptive softmax cannot be reduced; use `output_dtype='float32'`"
            )
        W, _ = self.loss_weights
        self.reduced_output = ReducedMatrix(W, dtype)
        W[...] = self.reduced_output.rounded()

    def in_bfloat16(self) -> "RecurrentLM":
        """Return the model with its matrices rounded to bfloat16: half of the memory, and it can only be read.

        Raises:
            ConfigError: its cells are not blocks by themselves, such as "rwkv7" or "mamba2", or its weights are not
                float32 arrays of NumPy.
        """
        if not self.rnn_layer.is_block or self.block != "plain":
            raise ConfigError(f"a model of {self.cell} cells cannot be kept in bfloat16; leave it in float32")
        if not all(isinstance(W, np.ndarray) and W.dtype == np.float32 for W in self.weights.values()):
            raise ConfigError(
                "only float32 weights of NumPy can be rounded; load the model with `backend='numpy'`"
            )
        weights = {name: Bfloat16Matrix.of(W) if is_product(name) else W for name, W in self.weights.items()}
        return RecurrentLM(**self.hyperparameters, ranks=self.ranks, weights=weights)

    @property
    def loss_weights(self) -> tuple[Array, Array]:
        """W (H, V) and b (V,) of the output, unless it is an adaptive softmax."""
        W = self.weights["embedding"].T if self.tie_weights else self.weights["output.W"]
        return W, self.weights["output.b"]

    def _read(self, reader: list[Any], ids: Ids, state: RecurrentState) -> tuple[Array, RecurrentState]:
        """Return the top layer's hs (N, T, H), maybe in a buffer of the reader, and the state after ids."""
        embedding, *cells = reader
        ids = checked_ids(ids, state.batch_size, self.vocab_size)
        if not ids.shape[1]:
            return empty((len(ids), 0, self.output_size), self.weights["embedding"]), state
        put_state(cells, state)
        with self.backend.reading():
            hs = self._through(cells, embedding.forward(ids))
        return hs, state_of(cells)

    def _through(self, cells: list[Any], xs: Array) -> Array:
        """Return the top layer's hs (N, T, H) for xs (N, T, D); models of wide blocks read some steps at a time."""
        N, T, _ = xs.shape
        rows = max(LEAST_ROWS, NUMBERS_AT_ONCE // (self.hidden_size * len(cells)))
        steps = max(1, rows // N)
        if steps >= T or not cells[0].is_block:
            return wavefront.read(cells, xs)
        hs = empty((T, N, self.output_size), xs)
        for t in range(0, T, steps):
            hs[t : t + steps] = time_major(wavefront.read(cells, xs[:, t : t + steps]))
        return batch_major(hs)


class SimpleRnnlm(RecurrentLM):
    """The textbook model: TimeEmbedding → TimeRNN → TimeAffine → TimeSoftmaxWithLoss, float32.

    With ``rng=None`` NumPy's global generator draws in the order embedding, Wx, Wh, affine W, so that
    ``np.random.seed(0)`` gives the same numbers as the textbook's code.
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
