"""The defaults of `train` where neither a recipe nor a size is given: chosen from a look at the text, with reasons.

`choose_defaults` decides what a token is, which words are unknown, what is held out and when to stop. The size of the
model, its learning rate and the number of epochs follow later, from the speed of the machine (`budget_choice`).
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from elman.errors import TextError
from elman.text import datasets
from elman.text.reading import CHUNK, check_file, read_text
from elman.training.budget_choice import SIZES, options_to_keep
from elman.training.config import AUTO, Config
from elman.training.corpora import NO_VALIDATION, has_validation
from elman.training.encoded_folder import EncodedFolder, is_encoded_corpus
from elman.training.model_options import WHOLE_TOKEN_OPTIONS
from elman.training.recipes import recipe_options

SECONDS = 300.0  # of training
PATIENCE = 5  # epochs
SAMPLE = 1_000_000  # characters of the text that are looked at, taken from the beginnings of its files
MOST_FILES = 200  # of a folder that are looked at
TINY = 10_000  # characters: too few to hold out a part
WORDS_FROM = 50_000  # characters: fewer are too few to learn words from
SUBWORDS_FROM = 100_000  # characters
LARGE = 10_000_000  # characters: so many words that only the most frequent are kept
MOST_WORDS = 50_000  # of these
MOST_NEW = 0.25  # of a word text's words occur once; about so many words of a new text are unknown
MOST_ODD = (
    0.15  # of a word text's words are numbers, paths or code: 0 to 4 % in novels, 10 % in news, 67 % in a log
)
MOST_RARE = 0.05  # of a character text's characters are outside ASCII and occur once
UNSPACED = 0.3  # of the characters, from which on the text is in a script that puts no spaces between words
FEW_SPACES = 0.1  # of the characters
FEW_WORDS = 200  # held out of fewer, 5 % would measure nothing
CHARACTERS_PER_SUBWORD = 100  # of the text: a rarer subword is hardly learnt
SUBWORDS = (1000, 8000)  # the least and the most
UNSPACED_SCRIPTS = (  # Thai to Myanmar, Khmer, kana, Chinese characters
    (0x0E00, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
WITHIN_WORDS = frozenset("'’-.&\u200c\u200d")  # marks and joiners between the letters of a word


@dataclass(frozen=True)
class Chosen:
    """What `choose_defaults` chose: the arguments of `TrainingRun.create`, and the reasons, a line each.

    ``held`` are the options to keep while those that depend on the machine's speed are chosen; None if none are.
    """

    config: Config
    valid: str | None
    held: frozenset[str] | None
    allow_overlap: bool = False
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Look:
    """What a sample of a text shows; ``characters`` is the length of the whole text, partly estimated."""

    characters: int
    words: int
    new: float  # the fraction of the words that occur once
    odd: float  # the fraction of the words that are not made of letters
    rare: float  # the fraction of the characters that are outside ASCII and occur once
    unspaced: bool  # whether no spaces separate the words
    ends_empty: bool  # whether the last twentieth of the text has nothing but whitespace

    @classmethod
    def at(cls, text: str, characters: int, ends_empty: bool) -> "Look":
        """Return what a sample of a text of so many ``characters`` shows."""
        words, letters = Counter(text.split()), Counter(text)
        total, scale = sum(words.values()), characters / max(1, len(text))
        kinds = {word: _is_word(word) for word in words}
        judged = sum(count for word, count in words.items() if kinds[word] is not None)
        odd = sum(count for word, count in words.items() if kinds[word] is False)
        unspaced = sum(count for letter, count in letters.items() if _is_unspaced(letter))
        spaces = sum(count for letter, count in letters.items() if letter != "\n" and letter.isspace())
        rare = sum(count == 1 and letter > "\x7f" for letter, count in letters.items())
        return cls(
            characters,
            round(total * scale),
            sum(count == 1 for count in words.values()) / max(1, total),
            odd / max(1, judged),
            rare / max(1, len(text)),
            unspaced > UNSPACED * len(text) and spaces < FEW_SPACES * len(text),
            ends_empty,
        )


def choose_defaults(
    corpus: str,
    config: Config,
    given: Collection[str],
    *,
    valid: str | None = None,
    recipe: str | None = None,
    choose: bool | None = None,
) -> Chosen:
    """Choose the options that are not given by looking at the text, unless a recipe or a size of the model is given.

    Args:
        corpus: a file, a folder or a named corpus.
        config: the options: those that are given, the recipe's, and the fixed defaults.
        given: the names of the options that are given; they stay.
        valid: the validation text, see `load_corpora`.
        recipe: the recipe, where there is one; its options stay too.
        choose: False gives the fixed defaults; True chooses even if a size or a recipe is given (with a recipe only
            the options that depend on the speed of the machine, see `options_to_keep`).

    Raises:
        ConfigError: `choose=True` needs a time budget and a recurrent model.
    """
    free = choose if choose is not None else not set(SIZES) & set(given)
    unlimited = "time_budget" in given and not config.time_budget
    if recipe is None and free and config.model == "rnn" and not unlimited:
        look = look_at(corpus, "latin-1" if config.level == "byte" else config.encoding, config.errors)
        if look is not None:
            return _chosen(corpus, config, frozenset(given), valid, look)
    named = {*given, *recipe_options(recipe)}
    return Chosen(
        config, valid, options_to_keep(config, named, False if recipe and choose is None else choose)
    )


def look_at(corpus: str, encoding: str, errors: str = "strict") -> Look | None:
    """Return what a sample of a corpus shows; None if it cannot be read or is empty: encoding it says why.

    Of an encoded corpus only the sizes are known: its options say the rest.
    """
    try:
        if is_encoded_corpus(corpus):
            known = EncodedFolder(Path(corpus)).about().record.size
            return Look(known.characters, known.words, 0.0, 0.0, 0.0, unspaced=False, ends_empty=False)
        files = datasets.resolve(corpus, report=False)
        size = sum(check_file(path)[0] for path in files)
        sample, read = _sample(files[:MOST_FILES], encoding, errors)
        if not sample:
            return None
        return Look.at(sample, round(len(sample) * max(1.0, size / read)), _ends_empty(files[-1], size // 20))
    except (TextError, OSError):
        return None


def _sample(files: Sequence[Path], encoding: str, errors: str) -> tuple[str, int]:
    """Return the beginnings of the files, up to SAMPLE characters, and their size in bytes."""
    most = max(1, SAMPLE // len(files))
    parts, read = [], 0
    for path in files:
        part = ""
        for text in read_text(path, encoding, min(most, CHUNK), errors):
            part += text
            if len(part) >= most:
                break
        parts.append(part[:most])
        read += len(part[:most].encode(encoding, "replace"))
    return "".join(parts), max(1, read)


def _ends_empty(path: Path, most: int) -> bool:
    """Return whether the last ``most`` bytes of a file, or its last megabyte, are whitespace."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - max(1, min(most, CHUNK))))
        return most > 0 and not file.read().strip()


def _chosen(corpus: str, config: Config, given: frozenset[str], valid: str | None, look: Look) -> Chosen:
    level, why = (config.level, "of the level given") if "level" in given else level_for(look, given)
    of_text = {"level": level, **_vocabulary_options(level, look, config)}
    of_text = {name: value for name, value in of_text.items() if name not in given}
    is_free, about_valid = valid is None, "as given"
    if is_free:
        valid, about_valid = _validation(corpus, level, config, look)
    ending: dict[str, Any] = {"time_budget": SECONDS}
    if valid != NO_VALIDATION and "epochs" not in given:
        ending["patience"] = PATIENCE
    ending = {name: value for name, value in ending.items() if name not in given}
    config = msgspec.structs.replace(config, **of_text, **ending)
    return Chosen(
        config,
        valid,
        given,
        allow_overlap=is_free,  # a text that repeats itself is no reason not to train on it
        reasons=(
            f"tokens: {why}{_written(of_text)}",
            f"validation: {about_valid}",
            f"training: at most {config.time_budget:,.0f} s, with sizes measured to suit{_written(ending)}; "
            "`choose=False` keeps the fixed defaults",
        ),
    )


def level_for(look: Look, given: Collection[str] = ()) -> tuple[str, str]:
    """Return what a token of a text should be, and why; ``given`` options may rule out subwords."""
    if look.unspaced or look.characters < WORDS_FROM:
        which = "without spaces between words" if look.unspaced else "are too few to learn words from"
        about = f"{look.characters:,} characters {which}"
        return ("byte", f"{about}, and too few of them recur") if look.rare > MOST_RARE else ("char", about)
    about = f"{look.words:,} words, of which {look.new:.0%} occur once and {look.odd:.0%} are numbers, paths or code"
    if look.new <= MOST_NEW and look.odd <= MOST_ODD:
        return "word", about
    about = f"{about}: too many to learn words"
    if look.characters < SUBWORDS_FROM or set(given) & (WHOLE_TOKEN_OPTIONS | {"max_tokens"}):
        return "char", about
    if find_spec("tokenizers") is None:
        return "char", f"{about} (subwords need the library tokenizers)"
    return "subword", about


def _vocabulary_options(level: str, look: Look, config: Config) -> Mapping[str, Any]:
    """Return the options by which no token of a new text has probability 0."""
    if level == "subword":
        least, most = SUBWORDS
        size = max(least, min(most, look.characters // CHARACTERS_PER_SUBWORD))
        return {} if config.tokenizer else {"vocab_size": size}
    if level == "byte":
        return {}
    options: dict[str, Any] = {"open_vocabulary": True}
    if look.characters >= TINY:
        options["min_count"] = 2
    if level == "word" and look.characters > LARGE:
        options["max_vocab"] = MOST_WORDS
    return options


def _validation(corpus: str, level: str, config: Config, look: Look) -> tuple[str | None, str]:
    """Return the validation text, and what it is."""
    if has_validation(corpus):
        return (AUTO if config.max_tokens else None), f"the validation part of {corpus}"
    tokens = {"word": look.words, "subword": look.characters // 5}.get(level, look.characters)
    tokens = min(tokens, config.max_tokens or tokens)
    if look.characters < TINY or tokens < FEW_WORDS:
        return (
            NO_VALIDATION,
            f"none, the text is too short to hold out a part ({look.characters:,} characters)",
        )
    if look.ends_empty:
        return NO_VALIDATION, "none, the text ends with empty lines"
    return AUTO, "the last 5 % of the text, which is not trained on (`valid='auto'`)"


def _written(options: Mapping[str, Any]) -> str:
    """Return options as messages write them."""
    values = {
        name: f"{value:g}" if isinstance(value, float) else repr(value) for name, value in options.items()
    }
    return f" ({', '.join(f'`{name}={value}`' for name, value in values.items())})" if options else ""


def _is_unspaced(character: str) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in UNSPACED_SCRIPTS)


def _is_word(token: str) -> bool | None:
    """Return whether a token is made of letters, whatever is around it; None if it has neither letters nor digits."""
    kinds = [unicodedata.category(character)[0] for character in token]
    inner = [k for k, kind in enumerate(kinds) if kind in "LMN"]
    if not inner:
        return None
    return all(kinds[k] in "LM" or token[k] in WITHIN_WORDS for k in range(inner[0], inner[-1] + 1))
