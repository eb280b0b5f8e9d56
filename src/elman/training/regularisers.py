"""The options of `elman train` that regularise, as the model takes them."""

from elman.errors import ConfigError
from elman.models.regularisation import Regularisation
from elman.training.config import Config

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
