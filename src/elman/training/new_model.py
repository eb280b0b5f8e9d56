"""The model that the options of `elman train` ask for, its weights freshly drawn."""

from typing import Any

import numpy as np

from elman.backend import Backend
from elman.models.base import Ids
from elman.models.cbow import CBOW
from elman.models.clusters import frequency_ranks
from elman.models.nplm import NPLM
from elman.models.rnnlm import RecurrentLM
from elman.models.window import WindowLM
from elman.training.config import Config
from elman.training.regularisers import regularisation_of

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
