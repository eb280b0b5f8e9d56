"""elman: recurrent neural network language models, every forward and backward pass written by hand.

Everything public is importable from here (``from elman import TimeRNN, SimpleRnnlm, SGD, RnnlmTrainer, ptb``);
a name is loaded when it is first used, so that ``import elman`` and the command line start quickly.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elman import figures as figures
    from elman.api import ray as ray
    from elman.api.compare import compare as compare
    from elman.api.encode import encode as encode
    from elman.api.import_model import import_model as import_model
    from elman.api.mix import mix as mix
    from elman.api.novelty import novelty as novelty
    from elman.api.pairs import pairs as pairs
    from elman.api.serve import serve as serve
    from elman.backend import Backend as Backend
    from elman.benchmark.bench import bench as bench
    from elman.errors import ElmanError as ElmanError
    from elman.evaluation.perplexity import Evaluation as Evaluation
    from elman.evaluation.perplexity import evaluate as evaluate
    from elman.formats.arpa_writer import write_arpa as write_arpa
    from elman.formats.model_file import save_model as save_model
    from elman.formats.onnx import write_onnx as write_onnx
    from elman.formats.state_dict import from_state_dict as from_state_dict
    from elman.formats.state_dict import to_state_dict as to_state_dict
    from elman.generation import Sampler as Sampler
    from elman.generation import generate as generate
    from elman.gradcheck import check_all_gradients as check_all_gradients
    from elman.gradcheck import check_gradients as check_gradients
    from elman.inspection.influence import influence as influence
    from elman.inspection.through_time import through_time as through_time
    from elman.inspection.trace import trace as trace
    from elman.inspection.units import correlated_units as correlated_units
    from elman.layers import GRU as GRU
    from elman.layers import LSTM as LSTM
    from elman.layers import RNN as RNN
    from elman.layers import Recursive as Recursive
    from elman.layers import TimeAdaptiveSoftmaxWithLoss as TimeAdaptiveSoftmaxWithLoss
    from elman.layers import TimeAffine as TimeAffine
    from elman.layers import TimeAffineSoftmaxWithLoss as TimeAffineSoftmaxWithLoss
    from elman.layers import TimeBidirectional as TimeBidirectional
    from elman.layers import TimeDropout as TimeDropout
    from elman.layers import TimeEmbedding as TimeEmbedding
    from elman.layers import TimeFPool as TimeFPool
    from elman.layers import TimeGRU as TimeGRU
    from elman.layers import TimeLSTM as TimeLSTM
    from elman.layers import TimeMamba as TimeMamba
    from elman.layers import TimeMamba2 as TimeMamba2
    from elman.layers import TimeMinGRU as TimeMinGRU
    from elman.layers import TimeMinLSTM as TimeMinLSTM
    from elman.layers import TimeMogrifierLSTM as TimeMogrifierLSTM
    from elman.layers import TimeQRNN as TimeQRNN
    from elman.layers import TimeResidualBlock as TimeResidualBlock
    from elman.layers import TimeRGLRU as TimeRGLRU
    from elman.layers import TimeRMSNorm as TimeRMSNorm
    from elman.layers import TimeRNN as TimeRNN
    from elman.layers import TimeRWKV4 as TimeRWKV4
    from elman.layers import TimeRWKV7 as TimeRWKV7
    from elman.layers import TimeSoftmaxWithLoss as TimeSoftmaxWithLoss
    from elman.layers import TimeSRU as TimeSRU
    from elman.layers import flatten_trees as flatten_trees
    from elman.models.adaptive.cache import CachedModel as CachedModel
    from elman.models.adaptive.cache import NeuralCache as NeuralCache
    from elman.models.adaptive.dynamic import DynamicModel as DynamicModel
    from elman.models.adaptive.learner import mean_squares as mean_squares
    from elman.models.base import LanguageModel as LanguageModel
    from elman.models.base import State as State
    from elman.models.mixture import Mixture as Mixture
    from elman.models.mixture import fit_weights as fit_weights
    from elman.models.ngram.model import NgramModel as NgramModel
    from elman.models.ngram.smoothing import kneser_ney as kneser_ney
    from elman.models.parameters import add_cell as add_cell
    from elman.models.recurrent import RecurrentLM as RecurrentLM
    from elman.models.recurrent import SimpleRnnlm as SimpleRnnlm
    from elman.models.regularisation import Regularisation as Regularisation
    from elman.models.rooms_truth import RoomsTruth as RoomsTruth
    from elman.models.window_models import CBOW as CBOW
    from elman.models.window_models import NPLM as NPLM
    from elman.plots import plot as plot
    from elman.recording.replay import replay as replay
    from elman.rescoring.rescore import rescore as rescore
    from elman.text import ptb as ptb
    from elman.text.corpus import Corpus as Corpus
    from elman.text.corpus import encode_corpus as encode_corpus
    from elman.text.datasets import corpora as corpora
    from elman.text.datasets import fetch as fetch
    from elman.text.normalising import normalise as normalise
    from elman.text.rooms import World as World
    from elman.text.tokenizers import make_tokenizer as make_tokenizer
    from elman.text.vocabulary import Vocabulary as Vocabulary
    from elman.text_model import TextModel as TextModel
    from elman.text_model import load as load
    from elman.training.optimizers import SGD as SGD
    from elman.training.optimizers import AdaGrad as AdaGrad
    from elman.training.optimizers import Adam as Adam
    from elman.training.optimizers import Momentum as Momentum
    from elman.training.optimizers import RMSProp as RMSProp
    from elman.training.progress import BlockDone as BlockDone
    from elman.training.progress import EpochDone as EpochDone
    from elman.training.progress import IntervalDone as IntervalDone
    from elman.training.progress import Overfitting as Overfitting
    from elman.training.progress import SampleDrawn as SampleDrawn
    from elman.training.runs import Run as Run
    from elman.training.runs import open_run as open_run
    from elman.training.runs import train as train
    from elman.training.trainer import RnnlmTrainer as RnnlmTrainer

__version__ = "0.2.0"

_HOMES = {
    "elman.api.import_model": ("import_model",),
    "elman.api.compare": ("compare",),
    "elman.api.encode": ("encode",),
    "elman.api.mix": ("mix",),
    "elman.api.novelty": ("novelty",),
    "elman.api.pairs": ("pairs",),
    "elman.api.serve": ("serve",),
    "elman.rescoring.rescore": ("rescore",),
    "elman.benchmark.bench": ("bench",),
    "elman.plots": ("plot",),
    "elman.recording.replay": ("replay",),
    "elman.text.datasets": (
        "corpora",
        "fetch",
    ),
    "elman.text.normalising": ("normalise",),
    "elman.backend": ("Backend",),
    "elman.errors": ("ElmanError",),
    "elman.evaluation.perplexity": ("Evaluation", "evaluate"),
    "elman.generation": ("Sampler", "generate"),
    "elman.gradcheck": ("check_all_gradients", "check_gradients"),
    "elman.layers": (
        "GRU",
        "LSTM",
        "RNN",
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
        "TimeQRNN",
        "TimeRGLRU",
        "TimeRMSNorm",
        "TimeMogrifierLSTM",
        "TimeRWKV4",
        "TimeRWKV7",
        "TimeRNN",
        "TimeResidualBlock",
        "TimeSRU",
        "TimeSoftmaxWithLoss",
        "flatten_trees",
    ),
    "elman.inspection.influence": ("influence",),
    "elman.inspection.through_time": ("through_time",),
    "elman.inspection.trace": ("trace",),
    "elman.inspection.units": ("correlated_units",),
    "elman.formats.arpa_writer": ("write_arpa",),
    "elman.formats.onnx": ("write_onnx",),
    "elman.formats.state_dict": ("from_state_dict", "to_state_dict"),
    "elman.models.base": ("LanguageModel", "State"),
    "elman.models.adaptive.dynamic": ("DynamicModel",),
    "elman.models.window_models": ("CBOW", "NPLM"),
    "elman.formats.model_file": ("save_model",),
    "elman.models.ngram.smoothing": ("kneser_ney",),
    "elman.models.adaptive.learner": ("mean_squares",),
    "elman.models.mixture": ("Mixture", "fit_weights"),
    "elman.models.adaptive.cache": ("CachedModel", "NeuralCache"),
    "elman.models.ngram.model": ("NgramModel",),
    "elman.models.regularisation": ("Regularisation",),
    "elman.models.parameters": ("add_cell",),
    "elman.models.recurrent": ("RecurrentLM", "SimpleRnnlm"),
    "elman.models.rooms_truth": ("RoomsTruth",),
    "elman.text_model": ("TextModel", "load"),
    "elman": ("figures",),
    "elman.api": ("ray",),
    "elman.text": ("ptb",),
    "elman.text.corpus": ("Corpus", "encode_corpus"),
    "elman.text.rooms": ("World",),
    "elman.text.tokenizers": ("make_tokenizer",),
    "elman.text.vocabulary": ("Vocabulary",),
    "elman.training.optimizers": ("SGD", "AdaGrad", "Adam", "Momentum", "RMSProp"),
    "elman.training.progress": ("BlockDone", "EpochDone", "IntervalDone", "Overfitting", "SampleDrawn"),
    "elman.training.runs": ("Run", "open_run", "train"),
    "elman.training.trainer": ("RnnlmTrainer",),
}
_MODULES = ("figures", "ptb", "ray")  # the public names that are modules
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'elman' has no attribute {name!r}")
    if name in _MODULES:
        value: Any = importlib.import_module(f"{home}.{name}")
    else:
        value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, without what this file needs itself."""
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
