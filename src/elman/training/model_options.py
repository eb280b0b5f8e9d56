"""Which options of `elman train` go with which model."""

from elman.errors import ConfigError
from elman.training.config import Config

OF_TEXTS = frozenset(
    ("about", "level", "lower", "encoding", "vocab_order", "max_vocab", "min_count", "max_tokens", "model")
)
OF_NGRAMS = frozenset(("order", "smoothing"))


def check_options(config: Config) -> None:
    """Raise ConfigError where an option that another model takes is not as by default; names it and both values."""
    every = frozenset(Config.__struct_fields__)
    strange = every - OF_TEXTS - OF_NGRAMS if config.model == "ngram" else OF_NGRAMS
    for name in Config.__struct_fields__:
        value, default = getattr(config, name), getattr(Config(), name)
        if name in strange and value != default:
            other = "--model ngram" if name in OF_NGRAMS else "a recurrent model"
            raise ConfigError(
                f"{name} = {value!r} is of {other}, but the model is {config.model!r}; leave it out"
            )
