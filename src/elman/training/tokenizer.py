"""The tokenizer that the options of `elman train` ask for: of a level, from a file, or learnt from the text."""

from collections.abc import Sequence
from pathlib import Path

from elman.errors import ConfigError
from elman.text.stream import WHOLE, Span, read_blocks
from elman.text.subword import LineCharacters
from elman.text.subword_file import Pieces, with_end_of_line
from elman.text.subword_training import train_subwords
from elman.text.tokenizers import Tokenizer, make_tokenizer
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
