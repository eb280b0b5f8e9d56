"""Which options of `elman train` go with which model."""

from elman.errors import ConfigError
from elman.training.config import Config

OF_TEXTS = frozenset(
    ("about", "level", "lower", "encoding", "vocab_order", "max_vocab", "min_count", "max_tokens", "model")
)
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
    """Raise ConfigError where an option that another model takes is not as by default; names it and both values."""
    for name in Config.__struct_fields__:
        value, default = getattr(config, name), getattr(Config(), name)
        if name in STRANGE[config.model] and value != default:
            raise ConfigError(
                f"{name} = {value!r} is of {_owner(name)}, but the model is {config.model!r}; leave it out"
            )


def _owner(name: str) -> str:
    """Return in words which model takes an option."""
    if name in OF_NGRAMS:
        return "--model ngram"
    return "--model cbow or nplm" if name in OF_WINDOWS else "a recurrent model"
