"""Layers: each with its forward and its backward pass, written once for NumPy arrays and torch tensors."""

from elman.layers.adaptive import TimeAdaptiveSoftmaxWithLoss
from elman.layers.affine import TimeAffine
from elman.layers.base import Layer
from elman.layers.bidirectional import TimeBidirectional
from elman.layers.dropout import TimeDropout
from elman.layers.embedding import TimeEmbedding
from elman.layers.fpool import TimeFPool
from elman.layers.gru import GRU, TimeGRU
from elman.layers.lstm import LSTM, TimeLSTM
from elman.layers.mamba import TimeMamba
from elman.layers.mamba2 import TimeMamba2
from elman.layers.mingru import TimeMinGRU
from elman.layers.minlstm import TimeMinLSTM
from elman.layers.mogrifier import TimeMogrifierLSTM
from elman.layers.norm import TimeRMSNorm
from elman.layers.output import TimeAffineSoftmaxWithLoss
from elman.layers.qrnn import TimeQRNN
from elman.layers.recursive import Recursive, flatten_trees
from elman.layers.residual import TimeResidualBlock
from elman.layers.rglru import TimeRGLRU
from elman.layers.rnn import RNN, TimeRNN
from elman.layers.rwkv4 import TimeRWKV4
from elman.layers.rwkv7 import TimeRWKV7
from elman.layers.sampled import TimeSampledSoftmaxWithLoss
from elman.layers.softmax import TimeSoftmaxWithLoss
from elman.layers.sru import TimeSRU

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Layer",
    "Recursive",
    "TimeAdaptiveSoftmaxWithLoss",
    "TimeAffine",
    "TimeAffineSoftmaxWithLoss",
    "TimeBidirectional",
    "TimeDropout",
    "TimeEmbedding",
    "TimeFPool",
    "TimeGRU",
    "TimeLSTM",
    "TimeMamba",
    "TimeMamba2",
    "TimeMinGRU",
    "TimeMinLSTM",
    "TimeMogrifierLSTM",
    "TimeQRNN",
    "TimeRGLRU",
    "TimeRMSNorm",
    "TimeRNN",
    "TimeRWKV4",
    "TimeRWKV7",
    "TimeResidualBlock",
    "TimeSRU",
    "TimeSampledSoftmaxWithLoss",
    "TimeSoftmaxWithLoss",
    "flatten_trees",
]
