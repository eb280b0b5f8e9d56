"""Which options of `elman train` go with which model."""

from elman.errors import ConfigError
from elman.training.config import Config

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
