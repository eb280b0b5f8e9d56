"""Start a run from an existing model: its architecture, its vocabulary, which may be extended, and its weights.

A new token starts with the mean of what the old tokens have: of their word vectors (the rows of Wx for one-hot input),
of their columns of the output matrix, and of their output biases. After any past its logit is then the mean of the old
logits, so that P(new token) ≤ 1/V, and the probabilities of the old tokens keep their ratios.

Source: J. Hewitt, Initializing new word embeddings for pretrained language models, 2021.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from elman.arrays import to_numpy
from elman.backend import Backend
from elman.errors import ConfigError
from elman.formats.model_file import MODEL_NAME, model_file, save_model
from elman.models.clusters import count_ids
from elman.models.recurrent import RecurrentLM
from elman.models.tokenized import TokenizedModel
from elman.models.window import WindowLM
from elman.text.corpus import Corpus
from elman.text.reading import sha256_of
from elman.text.sources import temporary_folder
from elman.text.vocabulary import UNK, Vocabulary
from elman.text_model import load
from elman.training.config import AUTO, Config
from elman.training.corpora import NO_VALIDATION, Progress, RunCorpora, load_corpora
from elman.training.model_options import (
    SUBWORD_OPTIONS,
    WHOLE_TOKEN_OPTIONS,
    Network,
    changed_options,
    check_options,
    regularisation_of,
)
from elman.training.run_folder import trained_options

AXIS_OF_TOKENS = {
    "embedding": 0,
    "output.W": 1,
    "output.b": 0,
}  # of the weights that have a part for each token
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class WarmStart:
    """The model that a run starts from.

    ``name`` is its path as given; ``sha256`` that of its file or, for a model in memory, of the file that `save_model`
    writes. With ``extend_vocab`` the tokens of the new text that the model lacks are added to its vocabulary.
    """

    text_model: TokenizedModel
    name: str
    sha256: str
    extend_vocab: bool = False

    @classmethod
    def of(cls, init_from: str | Path | TokenizedModel, extend_vocab: bool = False) -> "WarmStart":
        """Read a model from a run folder or a model file, or take one in memory (which training does not change).

        Raises:
            ModelFileError: there is no model, or its file is damaged.
            ConfigError: the model is neither recurrent nor one with a window; or its vocabulary cannot be extended.
        """
        in_memory = isinstance(init_from, TokenizedModel)
        text_model = init_from if isinstance(init_from, TokenizedModel) else load(init_from)
        name = "the given model" if in_memory else str(init_from)
        model, level = text_model.model, text_model.tokenizer.level
        if not isinstance(model, RecurrentLM | WindowLM):
            raise ConfigError(
                f"training cannot start from {name}, a {type(model).__name__}; give a recurrent model, or one with a "
                "fixed window (cbow, nplm)"
            )
        if extend_vocab and level in ("byte", "subword"):
            raise ConfigError(
                f"the vocabulary of {name} cannot be extended: its {text_model.unit}s are fixed, and can already "
                "express any text; leave out `extend_vocab`"
            )
        if extend_vocab and model.ranks is not None:
            raise ConfigError(
                f"the vocabulary of {name} cannot be extended: the clusters of its adaptive softmax are fixed; leave "
                "out `extend_vocab`, or train a new model"
            )
        if isinstance(init_from, TokenizedModel):
            with temporary_folder() as folder:
                save_model(folder / MODEL_NAME, init_from)
                return cls(text_model, name, sha256_of([folder / MODEL_NAME]), extend_vocab)
        return cls(text_model, name, sha256_of([model_file(Path(init_from))]), extend_vocab)

    def options(self, config: Config, given: Collection[str]) -> Config:
        """Return the options of the run: those of the architecture are the model's, all others those of ``config``.

        ``given`` are the names of the options that were set. Those that draw initial weights have no effect.

        Raises:
            ConfigError: an option that was set contradicts the model, or does not go with it.
        """
        model: Any = self.text_model.model
        tokenizer = self.text_model.tokenizer
        own = {"level": tokenizer.level, "lower": tokenizer.lower, **trained_options(config, model)}
        for name in given:
            if name in own and getattr(config, name) != own[name]:
                raise ConfigError(
                    f"`{name}` cannot be {getattr(config, name)!r}: {self.name}, from which training starts, has "
                    f"{own[name]!r}; leave it out"
                )
        for name in changed_options(config):
            if name in SUBWORD_OPTIONS or (name in WHOLE_TOKEN_OPTIONS and not self.extend_vocab):
                hint = "" if name in SUBWORD_OPTIONS else ", or add `extend_vocab=True`"
                raise ConfigError(
                    f"`{name}` cannot be {getattr(config, name)!r}: the vocabulary is that of {self.name} "
                    f"({len(self.text_model.vocabulary):,} tokens); leave it out{hint}"
                )
        config = msgspec.structs.replace(config, **own)
        # refuses max_tokens for subwords that are still to be learnt; the model's are known
        check_options(msgspec.structs.replace(config, max_tokens=0))
        return config

    def corpora(
        self, corpus: str, valid: str | None, config: Config, run: Path, progress: Progress | None = None
    ) -> RunCorpora:
        """Return the texts of the run (see `load_corpora`) in the model's vocabulary, or in the extended one.

        Warns where tokens of the training text are not in it.
        """
        vocabulary, tokenizer = self.text_model.vocabulary, self.text_model.tokenizer
        if self.extend_vocab:
            whole = msgspec.structs.replace(config, max_vocab=0, min_count=1)
            same_part = valid if valid in (None, AUTO) else NO_VALIDATION  # held-out text is not trained on
            counted = load_corpora(corpus, same_part, whole, run, progress, tokenizer=tokenizer)
            vocabulary = extended(vocabulary, counted.train, config)
        corpora = load_corpora(corpus, valid, config, run, progress, vocabulary, tokenizer)
        train = corpora.train
        if train.unknown:
            what = f"{train.vocabulary.unk}, which stands for what the vocabulary lacks"
            if train.vocabulary.unk is None:
                what = "left out: the vocabulary lacks them, and has no token for unknown ones"
            remedy = "" if self.extend_vocab else "; to add them to the vocabulary, set `extend_vocab=True`"
            count = f"{train.unknown:,} of the {train.tokens:,} tokens of {corpus}"
            logger.warning("%s are %s%s", count, what, remedy)
        return corpora

    def model(self, vocabulary: Vocabulary, config: Config, backend: Backend) -> Network:
        """Return the model to train: copies of the weights, in float32, with the regularisation of ``config``."""
        old: Any = self.text_model.model
        V = len(vocabulary)
        options: dict[str, Any] = {
            **old.hyperparameters,
            "vocab_size": V,
            "dropout": config.dropout,
            "rng": np.random.default_rng(config.seed),
            "weights": {name: _extended(name, to_numpy(weight), V) for name, weight in old.weights.items()},
            "backend": backend,
        }
        added = f"; new tokens: {V - old.vocab_size:,}" if self.extend_vocab else ""
        logger.info("starts from %s%s", self.name, added)
        if isinstance(old, WindowLM):
            made: Network = type(old)(**options)
            return made
        return RecurrentLM(**options, ranks=old.ranks, regularisation=regularisation_of(config))

    def record(self, vocabulary: Vocabulary) -> dict[str, Any]:
        """Return what the run and its models record of their start."""
        return {
            "model": self.name,
            "sha256": self.sha256,
            "new_tokens": len(vocabulary) - len(self.text_model.vocabulary),
        }


def extended(vocabulary: Vocabulary, text: Corpus, config: Config) -> Vocabulary:
    """Return a vocabulary followed by the tokens that it lacks of a text, which was encoded in its own vocabulary.

    Of these, those that occur at least ``min_count`` times are added, the most frequent first in line if ``max_vocab``
    leaves no room for all. If some are left out and there is no token for unknown ones, ``<unk>`` is added too.

    Raises:
        ConfigError: ``max_vocab`` is smaller than the vocabulary.
    """
    own = text.vocabulary
    counts = dict(zip(own.tokens, count_ids(text.ids, len(own)).tolist(), strict=True))
    missing = [token for token in own.tokens if token not in vocabulary]
    special = {UNK, own.eos}
    kept = [token for token in missing if counts[token] >= config.min_count or token in special]
    room = config.max_vocab - len(vocabulary) if config.max_vocab else len(kept) + 1
    if room < 0:
        raise ConfigError(
            f"`max_vocab` must be ≥ {len(vocabulary)}, the size of the vocabulary to extend, or 0; "
            f"got {config.max_vocab}"
        )
    some_left_out = len(kept) < len(missing) or len(kept) > room
    opened = some_left_out and vocabulary.unk is None and UNK not in missing
    by_count = sorted(kept, key=lambda token: (token not in special, -counts[token]))
    chosen = set(by_count[: max(0, room - opened)])
    added = [token for token in kept if token in chosen] + [UNK] * (opened and room > 0)
    return Vocabulary([*vocabulary.tokens, *added], vocabulary.unk, vocabulary.eos or own.eos)


def _extended(name: str, weight: NDArray[Any], vocab_size: int) -> NDArray[np.float32]:
    """Return a copy of a weight with parts for ``vocab_size`` tokens: new ones are the mean of the old."""
    axis = AXIS_OF_TOKENS.get(name)
    more = 0 if axis is None else vocab_size - weight.shape[axis]
    if axis is None or more == 0:
        return np.array(weight, np.float32)
    mean = weight.mean(axis, np.float64, keepdims=True)
    return np.concatenate([weight, np.repeat(mean, more, axis)], axis, dtype=np.float32, casting="same_kind")
