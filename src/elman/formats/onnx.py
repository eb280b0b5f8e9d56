"""Write recurrent models as ONNX files, which other programs can run without elman.

Inputs are ids (N, T), int64, and the state h0 (layers, N, H), for an LSTM also c0, for an SRU c0 alone. Outputs are
log_probs (N, T, V), natural logarithms of P(next token) after each id, and the next state hn (and cn). N and T are
dynamic. The form "step" reads one id per sequence: ids (N,) and log_probs (N, V).

The states of cells in residual blocks have the names that the blocks carry them by: cell_h0, cell_c0, and so on.

RNN, LSTM and GRU are ONNX's own operators; other cells are written by `elman.formats.onnx_linear`, and what is around
a cell in a residual block by `elman.formats.onnx_residual`. The gates of ONNX have a different order from ours,
i, o, f, c (ours i, f, g, o) and z, r, h (ours r, z, n), and its matrices are ours transposed. The GRU's reset gate is
applied after the product, including the bias b_h: ``linear_before_reset=1``.

Source: https://onnx.ai/onnx/operators (RNN, LSTM and GRU of version 14).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman import __version__
from elman.arrays import to_numpy
from elman.errors import MissingExtra, ModelFileError
from elman.files import atomic_write
from elman.formats.export import Form
from elman.formats.onnx_graph import Operators
from elman.formats.onnx_linear import LinearLayer
from elman.formats.onnx_residual import ResidualBlock
from elman.formats.vocabulary_file import to_metadata
from elman.layers.adaptive import AdaptiveWeights
from elman.layers.residual import OF_CELL
from elman.models.recurrent import RecurrentLM
from elman.models.tokenized import TokenizedModel

LINEAR = ("mingru", "minlstm", "fpool", "sru", "rglru")
OPERATORS = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}
GATES = {"rnn": (0,), "lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}  # the index among our gates of each of ONNX's

OPSET, IR_VERSION = 17, 8  # both from 2022: supported by every runtime since
LARGEST = 2**31 - 2**26  # bytes of weights; a file holds at most 2 GiB, including the vocabulary


def write_onnx(path: str | Path, text_model: TokenizedModel, form: Form = "sequence") -> None:
    """Write a recurrent model as an ONNX file in float32; the same model gives the same bytes.

    The file's metadata contain the vocabulary (see `to_metadata`).

    Raises:
        MissingExtra: the library onnx is not installed.
        ModelFileError: the model is not recurrent or too large for one file, or the file cannot be written.
    """
    path, model = Path(path), _checked(text_model.model)
    metadata = {**to_metadata(text_model), "form": form}
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("onnx", "onnx") from error
    proto = _model_proto(model, form, metadata)
    onnx.checker.check_model(proto, full_check=True)
    try:
        with atomic_write(path) as file:
            file.write(proto.SerializeToString(deterministic=True))
    except OSError as error:
        raise ModelFileError(
            f"cannot write {path}: {error.strerror or error}; nothing was changed"
        ) from error


def _checked(model: Any) -> RecurrentLM:
    if not isinstance(model, RecurrentLM):
        raise ModelFileError(
            f"only recurrent models can be written as ONNX files, and this is a {type(model).__name__}; "
            "export an n-gram model with `to='arpa'`"
        )
    if model.cell not in (*OPERATORS, *LINEAR):
        raise ModelFileError(
            f"a model of `cell={model.cell!r}` cannot be written as an ONNX file; only those of "
            f"{', '.join((*OPERATORS, *LINEAR))} can"
        )
    size = 4 * sum(int(np.prod(weight.shape)) for weight in model.weights.values())
    if size > LARGEST:
        raise ModelFileError(f"the weights take {size / 2**30:.1f} GiB, but an ONNX file holds at most 2 GiB")
    return model


def _model_proto(model: RecurrentLM, form: Form, metadata: dict[str, str]) -> Any:
    """Return the file's content as onnx's ModelProto."""
    from onnx import TensorProto, helper

    V, H, L = model.vocab_size, model.hidden_size, len(model.rnn_layers)
    T = ["T"] if form == "sequence" else []
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", *T])]
    outputs = [helper.make_tensor_value_info("log_probs", TensorProto.FLOAT, ["N", *T, V])]
    for name in _states(model):
        inputs.append(helper.make_tensor_value_info(f"{name}0", TensorProto.FLOAT, [L, "N", H]))
        outputs.append(helper.make_tensor_value_info(f"{name}n", TensorProto.FLOAT, [L, "N", H]))
    graph = Graph(model, form)
    proto = helper.make_model(
        helper.make_graph(graph.nodes, "elman", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="elman",
        producer_version=__version__,
    )
    helper.set_model_props(proto, metadata)
    return proto


def _states(model: RecurrentLM) -> tuple[str, ...]:
    """Return the names of the states that a file has as inputs and outputs: those that the next step reads."""
    of_cell = {"lstm": ("h", "c"), "sru": ("c",)}.get(model.cell, ("h",))
    return of_cell if model.block == "plain" else tuple(f"cell_{name}" for name in of_cell)


class Graph(Operators):
    """The operators of a model in order of execution, and their constants."""

    def __init__(self, model: RecurrentLM, form: Form) -> None:
        super().__init__({name: to_numpy(weight) for name, weight in model.weights.items()}, form == "step")
        self.model = model
        if form == "step":
            steps = self.add("Unsqueeze", "ids", self.ints("time", [0]))  # (1, N)
        else:
            steps = self.add("Transpose", "ids", perm=[1, 0])  # (T, N)
        hs = self._layers(self._word_vectors(steps))  # (T, N, H)
        if form == "step":
            rows = self.add("Squeeze", hs, "time")  # (N, H)
        else:
            rows = self.add("Transpose", hs, perm=[1, 0, 2])  # (N, T, H)
        if model.adaptive is not None:
            self._adaptive_log_probs(rows, model.loss_layer.weights)
            return
        if model.tie_weights:
            W = self.add("Transpose", "embedding", perm=[1, 0])
        else:
            W = self.floats("output.W", self.weights["output.W"])
        self._log_softmax(rows, W, self.floats("output.b", self.weights["output.b"]), "log_probs")

    def _word_vectors(self, steps: str) -> str:
        """Return the vectors (T, N, D) of ids (T, N); for one-hot input D is V."""
        if self.model.wordvec_size:
            return self.add("Gather", self.floats("embedding", self.weights["embedding"]), steps)
        depth = self.ints("depth", self.model.vocab_size)
        return self.add("OneHot", steps, depth, self.floats("off_on", np.array([0, 1])))

    def _layers(self, xs: str) -> str:
        """Return the top layer's hs (T, N, H) for xs (T, N, D); the states after the last step are output, too.

        In residual blocks the width of hs is D.
        """
        L, names = len(self.model.rnn_layers), _states(self.model)
        before = {name: [f"{name}0.{k}" for k in range(L)] for name in names}  # (1, N, H) each
        after: dict[str, list[str]] = {name: [] for name in names}  # (1, N, H) each
        for name in names:
            self.add("Split", f"{name}0", outputs=before[name], axis=0)
        add_layer = self._cell if self.model.block == "plain" else self._block
        for k in range(L):
            xs, last = add_layer(k, xs, [before[name][k] for name in names])
            for name, state in zip(names, last, strict=True):
                after[name].append(state)
        for name in names:
            self.add("Concat", *after[name], outputs=[f"{name}n"], axis=0)
        return xs

    def _block(self, k: int, xs: str, before: Sequence[str]) -> tuple[str, list[str]]:
        """Return the output (T, N, D) of a residual block and the last states of its cell; see `_cell`."""
        block = ResidualBlock(self, k)
        ns = block.before_cell(xs)
        hs, after = self._cell(k, ns, before)
        return block.after_cell(xs, ns, hs), after

    def _cell(self, k: int, xs: str, before: Sequence[str]) -> tuple[str, list[str]]:
        """Return hs (T, N, H) and the last states (1, N, H), given xs (T, N, D) and the states before (1, N, H)."""
        cell, weights = self.model.cell, self._cell_weights(k)
        if cell in LINEAR:
            layer = self.model.rnn_layers[k].recurrence
            hs, last = LinearLayer(self, layer, k, weights).add(xs, *before)
            return hs, [last]
        after = [f"{name}n.{k}" for name in _states(self.model)]
        hs = self.add(
            OPERATORS[cell],
            *(xs, *self._operator_weights(k, weights), ""),  # no sequence lengths: all are T
            *before,
            outputs=[f"hs.{k}", *after],
            hidden_size=self.model.hidden_size,
            **({"linear_before_reset": 1} if cell == "gru" else {}),
        )  # (T, 1, N, H)
        return self.add("Squeeze", hs, self.ints(f"direction.{k}", [1])), after

    def _cell_weights(self, k: int) -> dict[str, NDArray[Any]]:
        """Return the weights of the k-th cell by the names of its constructor's arguments."""
        prefix = f"{k}." if self.model.block == "plain" else f"{k}.{OF_CELL}"
        of_cell = {
            name.removeprefix(prefix): weight
            for name, weight in self.weights.items()
            if name.startswith(prefix)
        }
        return {"Wx": self.weights["embedding"], **of_cell}  # one-hot input: the embedding is Wx

    def _operator_weights(self, k: int, weights: Mapping[str, NDArray[Any]]) -> tuple[str, str, str]:
        """Return W (1, G·H, D), R (1, G·H, H) and B (1, 2·G·H) of a layer."""
        b_x, b_h = weights["b"], np.zeros_like(weights["b"])
        if self.model.cell == "gru":
            b_h[2 * self.model.hidden_size :] = weights["b_h"]
        W, R, of_x, of_h = (self._reordered(array.T) for array in (weights["Wx"], weights["Wh"], b_x, b_h))
        return (
            self.floats(f"W.{k}", W[None]),
            self.floats(f"R.{k}", R[None]),
            self.floats(f"B.{k}", np.concatenate((of_x, of_h))[None]),
        )

    def _reordered(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return rows (G·H, ...) with the gates in ONNX's order."""
        gates = np.split(rows, len(GATES[self.model.cell]))
        return np.concatenate([gates[k] for k in GATES[self.model.cell]])

    def _log_softmax(self, rows: str, W: str, b: str, out: str = "") -> str:
        """Return ln softmax(rows·W + b) over the last axis."""
        scores = self.add("Add", self.add("MatMul", rows, W), b)
        return self.add("LogSoftmax", scores, outputs=[out] if out else (), axis=-1)

    def _adaptive_log_probs(self, rows: str, weights: AdaptiveWeights) -> None:
        """Add the output log_probs: ln P(cluster) + ln P(word | cluster), reordered from ranks to ids."""
        C, K, (W, b) = weights.cutoffs[0], len(weights.tails), weights.head
        head = self._log_softmax(rows, self.floats("head.W", W), self.floats("head.b", b))
        parts = [f"cluster.{k}" for k in range(K + 1)]  # the head's words, then one entry per tail cluster
        self.add("Split", head, self.ints("head.sizes", [C] + [1] * K), outputs=parts, axis=-1)
        for k, (P, W, b) in enumerate(weights.tails, 1):
            projected = self.add("MatMul", rows, self.floats(f"tail.{k}.P", P))
            within = self._log_softmax(
                projected, self.floats(f"tail.{k}.W", W), self.floats(f"tail.{k}.b", b)
            )
            parts[k] = self.add("Add", within, parts[k])
        by_rank = self.add("Concat", *parts, axis=-1)
        ranks = self.ints("ranks", to_numpy(weights.ranks))
        self.add("Gather", by_rank, ranks, outputs=["log_probs"], axis=-1)
