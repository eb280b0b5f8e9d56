"""The model and tokenizer that the options of `elman train` describe.

The tokenizer that the options of `elman train` ask for: of a level, from a file, or learnt from the text.

The options of `elman train` that regularise, as the model takes them.

Which options of `elman train` go with which model.

The model that the options of `elman train` ask for, its weights freshly drawn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elman.backend import Backend
from elman.errors import ConfigError
from elman.models.base import Ids
from elman.models.clusters import frequency_ranks
from elman.models.recurrent import RecurrentLM
from elman.models.regularisation import Regularisation
from elman.models.window import WindowLM
from elman.models.window_models import CBOW, NPLM
from elman.text.stream import WHOLE, Span, read_blocks
from elman.text.subword_training import train_subwords
from elman.text.tokenizer_json import Pieces, with_end_of_line
from elman.text.tokenizers import LineCharacters, Tokenizer, make_tokenizer
from elman.training.config import Config


def learns_tokenizer(config: Config) -> bool:
    """Tell whether the tokens themselves are learnt from the text."""
    return config.level == "subword" and not config.tokenizer


def tokenizer_for(config: Config, texts: Sequence[Path] = (), span: Span = WHOLE) -> Tokenizer:
    """Return the tokenizer of a training; one that is learnt is learnt from a span of the characters of ``texts``.

    Raises:
        ConfigError: the tokenizer.json cannot be read, or will not do.
        MissingExtra: it is of subwords, and the library that cuts them is not installed.
    """
    if config.level != "subword":
        return make_tokenizer(config.level, config.lower)
    if config.tokenizer:
        text = _read(Path(config.tokenizer))
        Pieces(text, config.tokenizer)  # where something is wrong, the error names the file
        return make_tokenizer(config.level, config.lower, with_end_of_line(text, config.tokenizer))
    units = LineCharacters(config.lower)
    blocks = read_blocks(texts, units, config.encoding, lambda count: None, span)
    return make_tokenizer(
        config.level, config.lower, train_subwords(blocks, config.subwords, config.vocab_size)
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the tokenizer {path} cannot be read: {error}") from error


AS_DROPOUT = -1.0


def regularisation_of(config: Config) -> Regularisation:
    """Return what a run's options say.

    Raises:
        ConfigError: a share is negative, but not -1; word vectors are to be dropped that are not there, or steps
            to be compared where a block has but one.
    """
    if config.input_dropout > 0 and not config.wordvec:
        raise ConfigError(
            f"input_dropout {config.input_dropout} is of word vectors, but wordvec is 0 (one-hot input); "
            "leave it out, or take --embedding-dropout, which drops words"
        )
    if config.temporal_penalty and config.time_size == 1:
        raise ConfigError(
            f"temporal_penalty {config.temporal_penalty} compares the steps of a block, but time_size is 1; "
            "raise --time-size, or leave it out"
        )
    return Regularisation(
        config.dropout_mask,
        _own_share(config, "input_dropout"),
        _own_share(config, "output_dropout"),
        config.embedding_dropout,
        config.recurrent_dropout,
        config.activation_penalty,
        config.temporal_penalty,
    )


def _own_share(config: Config, name: str) -> float | None:
    share: float = getattr(config, name)
    if AS_DROPOUT < share < 0:
        raise ConfigError(f"{name} must be a number at least 0 and below 1, or -1: as --dropout; got {share}")
    return None if share == AS_DROPOUT else share


OF_SUBWORDS = frozenset(("subwords", "vocab_size", "tokenizer"))
OF_LEARNT_SUBWORDS = frozenset(("subwords", "vocab_size"))
OF_WHOLE_TOKENS = frozenset(("vocab_order", "max_vocab", "min_count"))
OF_TEXTS = OF_SUBWORDS | OF_WHOLE_TOKENS | {"about", "level", "lower", "encoding", "max_tokens", "model"}
OF_NGRAMS = frozenset(("order", "smoothing"))
OF_WINDOWS = frozenset(("window",))
OF_RECURRENT = frozenset(
    (
        "cell",
        "layers",
        "init",
        "softmax",
        "candidates",
        "cutoffs",
        "dropout_mask",
        "input_dropout",
        "output_dropout",
        "embedding_dropout",
        "recurrent_dropout",
        "activation_penalty",
        "temporal_penalty",
    )
)
STRANGE = {
    "rnn": OF_NGRAMS | OF_WINDOWS,
    "ngram": frozenset(Config.__struct_fields__) - OF_TEXTS - OF_NGRAMS,
    "cbow": OF_NGRAMS | OF_RECURRENT | {"hidden"},
    "nplm": OF_NGRAMS | OF_RECURRENT,
}


def check_options(config: Config) -> None:
    """Raise ConfigError where an option that another model takes is not as by default; names it and both values.

    The same of an option that another level takes.
    """
    _check_level(config)
    for name in Config.__struct_fields__:
        value, default = getattr(config, name), getattr(Config(), name)
        if name in STRANGE[config.model] and value != default:
            raise ConfigError(
                f"{name} = {value!r} is of {_owner(name)}, but the model is {config.model!r}; leave it out"
            )


def _check_level(config: Config) -> None:
    """Raise ConfigError where an option is not of the level, or of a given tokenizer."""
    strange = dict.fromkeys(OF_SUBWORDS, f"is not of --level {config.level}")
    if config.level == "subword":
        strange = dict.fromkeys(OF_WHOLE_TOKENS, "is not of --level subword")
        if config.tokenizer:
            strange |= dict.fromkeys(OF_LEARNT_SUBWORDS, "is not to be chosen where --tokenizer is given")
        else:
            strange["max_tokens"] = (
                "counts subwords, which are not known before they are learnt: name a --tokenizer, or give less text"
            )
    for name in Config.__struct_fields__:
        if name in strange and getattr(config, name) != getattr(Config(), name):
            raise ConfigError(f"{name} = {getattr(config, name)!r} {strange[name]}; leave it out")


def _owner(name: str) -> str:
    """Return in words which model takes an option."""
    if name in OF_NGRAMS:
        return "--model ngram"
    return "--model cbow or nplm" if name in OF_WINDOWS else "a recurrent model"


Network = RecurrentLM | WindowLM  # what the trainer trains


def new_model(config: Config, ids: Ids, vocab_size: int, backend: Backend) -> Network:
    """Return the model for a text of ids (n,) over V tokens.

    Raises:
        ConfigError: the options make no model.
    """
    more: dict[str, Any] = {
        "dropout": config.dropout,
        "tie_weights": config.tie_weights,
        "rng": np.random.default_rng(config.seed),
        "weight_scale": config.weight_scale or None,
        "embedding_scale": config.embedding_scale,
        "backend": backend,
    }
    if config.model == "cbow":
        return CBOW(vocab_size, config.wordvec, config.window, **more)
    if config.model == "nplm":
        return NPLM(vocab_size, config.wordvec, config.hidden, config.window, **more)
    adaptive = config.adaptive(vocab_size)
    return RecurrentLM(
        vocab_size,
        config.wordvec,
        config.hidden,
        config.cell,
        config.layers,
        adaptive=adaptive,
        ranks=None if adaptive is None else frequency_ranks(ids, vocab_size),
        regularisation=regularisation_of(config),
        init=config.init,
        **more,
    )
