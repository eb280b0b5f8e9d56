"""ONNX files, written: a recurrent model that other programs run without elman.

Inputs are ids (N, T), int64, and the state h0 (layers, N, H), with an LSTM's c0; outputs are log_probs (N, T, V),
natural logarithms of P(next token) after each id, and the state hn (and cn) that follows. N and T are free. The
form "step" reads one id a lane: ids (N,) and log_probs (N, V).
"""

from pathlib import Path
from typing import Any

import numpy as np

from elman import __version__
from elman.errors import MissingExtra, ModelFileError
from elman.files import atomic_write
from elman.interop.onnx_graph import Form, Graph
from elman.interop.text_metadata import to_metadata
from elman.models.rnnlm import RecurrentLM
from elman.models.text_model import TextModel

OPSET, IR_VERSION = 17, 8  # both of 2022: read by every runtime since
LARGEST = 2**31 - 2**26  # bytes of weights, with room for the vocabulary: one file holds 2 GiB at most


def write_onnx(path: str | Path, text_model: TextModel, form: Form = "sequence") -> None:
    """Write a recurrent model as an ONNX file, in float32; the same model gives the same bytes.

    The file's metadata hold the vocabulary (see `to_metadata`).

    Raises:
        MissingExtra: the library onnx is not installed.
        ModelFileError: the model is no recurrent one, or too large for one file, or it cannot be written.
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
            f"an ONNX file holds a recurrent model here, and this is a {type(model).__name__}; "
            "an n-gram model can be exported --to arpa"
        )
    size = 4 * sum(int(np.prod(weight.shape)) for weight in model.weights.values())
    if size > LARGEST:
        raise ModelFileError(f"the weights take {size / 2**30:.1f} GiB, and an ONNX file holds 2 GiB at most")
    return model


def _model_proto(model: RecurrentLM, form: Form, metadata: dict[str, str]) -> Any:
    """Return the whole file as onnx's own data structure."""
    from onnx import TensorProto, helper

    V, H, L = model.vocab_size, model.hidden_size, len(model.rnn_layers)
    states = ("h", "c") if model.cell == "lstm" else ("h",)
    T = ["T"] if form == "sequence" else []
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["N", *T])]
    outputs = [helper.make_tensor_value_info("log_probs", TensorProto.FLOAT, ["N", *T, V])]
    for name in states:
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
