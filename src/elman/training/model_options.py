"""The model and the tokenizer that the options of a training run describe.

`check_options` refuses options that belong to another model or tokenizer; `tokenizer_for` and `new_model` make the two.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elman.backend import Backend
from elman.errors import ConfigError
from elman.models.base import Ids
from elman.models.clusters import frequency_ranks
from elman.models.parameters import CELLS
from elman.models.recurrent import RecurrentLM
from elman.models.regularisation import Regularisation
from elman.models.window import WindowLM
from elman.models.window_models import CBOW, NPLM
from elman.text.stream import WHOLE, Span, read_blocks
from elman.text.subword_training import train_subwords
from elman.text.tokenizer_json import Pieces, with_end_of_line
from elman.text.tokenizers import LineCharacters, Tokenizer, make_tokenizer
from elman.training.config import Config, expected

SUBWORD_OPTIONS = frozenset(("subwords", "vocab_size", "tokenizer"))
LEARNT_SUBWORD_OPTIONS = frozenset(("subwords", "vocab_size"))
WHOLE_TOKEN_OPTIONS = frozenset(("vocab_order", "max_vocab", "min_count", "open_vocabulary"))
TEXT_OPTIONS = (
    SUBWORD_OPTIONS
    | WHOLE_TOKEN_OPTIONS
    | {"about", "level", "lower", "encoding", "errors", "max_tokens", "model"}
)
NGRAM_OPTIONS = frozenset(("order", "smoothing"))
WINDOW_OPTIONS = frozenset(("window",))
RECURRENT_OPTIONS = frozenset(
    (
        "cell",
        "layers",
        "block",
        "mlp",
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
UNUSED_BY = {  # the options that a model has no use for
    "rnn": NGRAM_OPTIONS | WINDOW_OPTIONS,
    "ngram": frozenset(Config.__struct_fields__) - TEXT_OPTIONS - NGRAM_OPTIONS,
    "cbow": NGRAM_OPTIONS | RECURRENT_OPTIONS | {"hidden"},
    "nplm": NGRAM_OPTIONS | RECURRENT_OPTIONS,
}
Network = RecurrentLM | WindowLM  # the models that the trainer trains


def check_options(config: Config) -> None:
    """Check that every option of another model, level or tokenizer has its default value.

    Raises:
        ConfigError: one has not.
    """
    _check_level(config)
    for name in changed_options(config):
        if name in UNUSED_BY[config.model]:
            raise ConfigError(
                f"`{name}` applies only to {_models_with(name)}, but model is {config.model!r}; "
                f"leave out `{name}={getattr(config, name)!r}`"
            )
        if name == "hidden" and config.hidden != CELLS[config.cell].hidden_size(
            config.wordvec, config.hidden
        ):
            raise ConfigError(
                f"`hidden` does not apply to `cell={config.cell!r}`, which is as wide as the word vectors; leave out "
                f"`hidden={config.hidden}`, or set `wordvec` to it"
            )


def _check_level(config: Config) -> None:
    """Raise ConfigError for an option that does not go with the level, or with a given tokenizer."""
    refused = dict.fromkeys(
        SUBWORD_OPTIONS, f"applies only to `level='subword'`, but level is {config.level!r}"
    )
    if config.level == "subword":
        refused = dict.fromkeys(WHOLE_TOKEN_OPTIONS, "does not apply to `level='subword'`")
        if config.tokenizer:
            refused |= dict.fromkeys(LEARNT_SUBWORD_OPTIONS, "cannot be combined with a given `tokenizer`")
        else:
            refused["max_tokens"] = (
                "counts subwords, which are not known before they are learnt (give a `tokenizer`, or a shorter text)"
            )
    for name in changed_options(config):
        if name in refused:
            raise ConfigError(f"`{name}` {refused[name]}; leave out `{name}={getattr(config, name)!r}`")


def changed_options(config: Config) -> list[str]:
    """Return the names of the options that differ from their defaults."""
    default = Config()
    return [name for name in Config.__struct_fields__ if getattr(config, name) != getattr(default, name)]


def _models_with(name: str) -> str:
    """Return in words which models use an option."""
    return " or ".join(f"`model={model!r}`" for model, unused in UNUSED_BY.items() if name not in unused)


def learns_tokenizer(config: Config) -> bool:
    """Return whether the tokens themselves are learnt from the text."""
    return config.level == "subword" and not config.tokenizer


def tokenizer_for(config: Config, texts: Sequence[Path] = (), span: Span = WHOLE) -> Tokenizer:
    """Return the tokenizer: of a level, from a file, or learnt from a span of the characters of ``texts``.

    Raises:
        ConfigError: the tokenizer.json cannot be read, or cannot be used.
        MissingExtra: subwords need a library that is not installed.
    """
    if config.level != "subword":
        return make_tokenizer(config.level, config.lower)
    if config.tokenizer:
        text = _read_tokenizer(Path(config.tokenizer))
        Pieces(text, config.tokenizer)  # checks it: an error names the file
        return make_tokenizer(config.level, config.lower, with_end_of_line(text, config.tokenizer))
    units = LineCharacters(config.lower)
    blocks = read_blocks(texts, units, config.encoding, lambda count: None, span, config.errors)
    return make_tokenizer(
        config.level, config.lower, train_subwords(blocks, config.subwords, config.vocab_size)
    )


def _read_tokenizer(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the tokenizer {path} cannot be read: {error}") from error


def regularisation_of(config: Config) -> Regularisation:
    """Return the `Regularisation` of a recurrent model.

    Raises:
        ConfigError: a dropout rate is between -1 and 0, word vectors are to be dropped where there are none, or
            steps are to be compared in blocks of one.
    """
    if config.input_dropout > 0 and not config.wordvec:
        raise ConfigError(
            f"`input_dropout={config.input_dropout}` drops word vectors, but wordvec is 0 (one-hot input); "
            "leave it out, or use `embedding_dropout`, which drops words"
        )
    if config.temporal_penalty and config.time_size == 1:
        raise ConfigError(
            f"`temporal_penalty={config.temporal_penalty}` compares the steps of a block, but time_size is 1; "
            "increase `time_size`, or leave the penalty out"
        )
    return Regularisation(
        config.dropout_mask,
        _rate_or_none(config, "input_dropout"),
        _rate_or_none(config, "output_dropout"),
        config.embedding_dropout,
        config.recurrent_dropout,
        config.activation_penalty,
        config.temporal_penalty,
    )


def _rate_or_none(config: Config, name: str) -> float | None:
    """Return a dropout rate; None for -1, which means the rate of ``dropout``."""
    rate: float = getattr(config, name)
    if -1 < rate < 0:
        raise ConfigError(f"`{name}` must be {expected(name)}; got {rate}")
    return None if rate == -1 else rate


def new_model(config: Config, ids: Ids, vocab_size: int, backend: Backend) -> Network:
    """Return a model with freshly drawn weights, for a text of ids (n,) over V tokens.

    Raises:
        ConfigError: the options do not go together.
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
        block=config.block,
        mlp=config.mlp,
        regularisation=regularisation_of(config),
        init=config.init,
        **more,
    )
