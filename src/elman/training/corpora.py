"""The texts of a run: the training text, the validation text, and reference perplexities to compare with."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from elman.errors import DatasetError, TextError, VocabularyError
from elman.evaluation.perplexity import evaluate
from elman.evaluation.rooms import LOWEST, rooms_optimum
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import kneser_ney
from elman.text import datasets
from elman.text.corpus import Corpus, encode_corpus
from elman.text.folders import IDS
from elman.text.held_out import Cut, hold_out, hold_out_ids
from elman.text.registry import LANGUAGES, named
from elman.text.stream import Span
from elman.text.tokenizers import OF_CHARACTERS, LineCharacters, Tokenizer, WordTokenizer
from elman.text.vocabulary import Vocabulary
from elman.training.config import AUTO, Config
from elman.training.encoded_folder import is_encoded_corpus, part_of, read_encoded
from elman.training.model_options import learns_tokenizer, tokenizer_for
from elman.training.overlap import is_blank, overlap

Progress = Callable[[int, int], None]
NO_VALIDATION = "none"
MAX_REFERENCE_TOKENS = 2_500_000  # an n-gram reference of a text of this length takes a second or two


@dataclass(frozen=True)
class RunCorpora:
    """The encoded texts of a run.

    ``references`` are perplexities of other models on the validation text. ``held_out`` is True where the validation
    text is the end of the corpus, which is then not trained on. ``warning`` says why the validation perplexity
    means less than it seems. ``tokenizer`` made the ids.
    """

    name: str
    train: Corpus
    valid: Corpus | None = None
    references: dict[str, float] = field(default_factory=dict)
    held_out: bool = False
    warning: str = ""
    tokenizer: Tokenizer = field(default_factory=WordTokenizer)

    @property
    def validation(self) -> str:
        """What is validated on, in words."""
        if self.valid is None:
            return "no validation text"
        return "validation on the end of its corpus" if self.held_out else "a validation text of its own"


def load_corpora(
    corpus: str,
    valid: str | None,
    config: Config,
    run: Path,
    progress: Progress | None = None,
    vocabulary: Vocabulary | None = None,
    tokenizer: Tokenizer | None = None,
) -> RunCorpora:
    """Encode the texts of a run; the ids are cached next to the run folder and reused while the files are unchanged.

    ``corpus`` is a file, a folder, a named corpus, or the folder of an encoded corpus. ``valid`` is one of these (a
    text, not an encoded corpus), or

    * None: the validation part of a named corpus that has one, unless ``max_tokens`` limits the training text;
    * "none": no validation text;
    * "auto": the validation part of a named corpus, else the last 5 % of the text (of its first ``max_tokens``),
      which are then not trained on.

    The ``tokenizer`` is made from the options if it is not given; subwords are learnt from the training text only.
    """
    cache = run.absolute().parent / ".elman-cache"
    if is_encoded_corpus(corpus):
        return _encoded_corpora(corpus, valid, config, cache, progress, vocabulary)
    texts = datasets.resolve(corpus, "train")
    sources, limit = _valid_sources(corpus, valid, config), config.max_tokens or None
    cut: Cut | None = None
    spans = (
        Span(),
        Span(),
    )  # of the training and the held-out text, in characters: tokens cannot be counted yet
    if learns_tokenizer(config):
        if sources is None and valid == AUTO:
            units = LineCharacters(config.lower)
            found = hold_out(texts, units, cache=cache, encoding=config.encoding, errors=config.errors)
            sources, spans = texts, (Span(0, found.learnt), Span(found.learnt))
        tokenizer = tokenizer or tokenizer_for(config, texts, spans[0])
    else:
        tokenizer = tokenizer or tokenizer_for(config)
        if sources is None and valid == AUTO:
            cut = hold_out(
                texts,
                tokenizer,
                cache=cache,
                encoding=config.encoding,
                max_tokens=limit,
                errors=config.errors,
            )
            sources = texts
    train = encode_corpus(
        texts,
        tokenizer,
        cache=cache,
        vocabulary=vocabulary,
        encoding=config.encoding,
        errors=config.errors,
        order=config.vocab_order,
        max_vocab=config.max_vocab or None,
        min_count=config.min_count,
        open_vocabulary=config.open_vocabulary,
        max_tokens=limit if cut is None else cut.learnt,
        span=spans[0],
        progress=progress,
    )
    train = _without_unknown(train, corpus)
    if sources is None:
        return RunCorpora(corpus, train, tokenizer=tokenizer)
    held_out = encode_corpus(
        sources,
        tokenizer,
        cache=cache,
        vocabulary=train.vocabulary,
        encoding=config.encoding,
        errors=config.errors,
        max_tokens=None if cut is None else cut.tokens - cut.learnt,
        skip_tokens=0 if cut is None else cut.learnt,
        span=spans[1],
        progress=progress,
    )
    _check_known(held_out, tokenizer, corpus, valid)
    is_end = sources is texts
    return RunCorpora(
        corpus, train, held_out, _references(corpus, train, held_out, config), is_end, tokenizer=tokenizer
    )


def _encoded_corpora(
    corpus: str,
    valid: str | None,
    config: Config,
    cache: Path,
    progress: Progress | None,
    vocabulary: Vocabulary | None,
) -> RunCorpora:
    """Return the texts of a run on an encoded corpus, whose ids are memory-mapped where they are.

    With "auto" the end of the ids is held out. The vocabulary is that of the whole corpus all the same.
    """
    whole, tokenizer = read_encoded(Path(corpus))
    if vocabulary is not None and vocabulary != whole.vocabulary:
        raise VocabularyError(
            f"{corpus} was encoded with another vocabulary than that of the model; train on the text itself"
        )
    tokens = min(whole.tokens, config.max_tokens or whole.tokens)
    train = whole if tokens == whole.tokens else part_of(whole, 0, tokens)
    if valid in (None, NO_VALIDATION):
        return RunCorpora(corpus, train, tokenizer=tokenizer)
    if valid == AUTO:
        cut = hold_out_ids(train)
        held_out = part_of(whole, cut.learnt, cut.tokens)
        train = part_of(whole, 0, cut.learnt)
    else:
        held_out = encode_corpus(
            datasets.resolve(str(valid), "valid"),
            tokenizer,
            cache=cache,
            vocabulary=whole.vocabulary,
            encoding=config.encoding,
            errors=config.errors,
            progress=progress,
        )
        _check_known(held_out, tokenizer, corpus, valid)
    references = _references(corpus, train, held_out, config)
    return RunCorpora(corpus, train, held_out, references, valid == AUTO, tokenizer=tokenizer)


def _check_known(held_out: Corpus, tokenizer: Tokenizer, corpus: str, valid: str | None) -> None:
    """Raise TextError if a closed vocabulary has no token of the validation text."""
    # one was added to a text that has none
    newlines = held_out.lines if tokenizer.level in OF_CHARACTERS else 0
    if 0 < held_out.unknown >= held_out.tokens - newlines and held_out.vocabulary.unk_id is None:
        raise TextError(
            f"the vocabulary of {corpus} has no token of the validation text {valid or corpus}; "
            "choose another validation text, or 'none'"
        )


def text_files(source: str, split: str) -> list[Path]:
    """Return the files whose bytes are the text of a corpus argument: of an encoded corpus that of its ids.

    Raises TextError or DatasetError if there is no such text.
    """
    return [Path(source) / IDS] if is_encoded_corpus(source) else datasets.resolve(source, split)


def _without_unknown(train: Corpus, corpus: str) -> Corpus:
    """Return a training text whose ids lack the tokens that a given, closed vocabulary lacks: no model reads them."""
    if train.unknown == 0 or train.vocabulary.unk_id is not None:
        return train
    if train.unknown == train.tokens:
        raise TextError(f"the vocabulary has no token of the training text {corpus}; train on other text")
    return replace(train, ids=train.ids[train.ids >= 0])


def check_valid(
    corpora: RunCorpora, valid: str | None, config: Config, allow_overlap: bool = False
) -> RunCorpora:
    """Return the texts, with a warning where one is due; ``valid`` is the argument of `load_corpora`.

    The splits of the generated worlds always pass: they repeat themselves by nature, but were drawn independently.

    Raises:
        TextError: the validation text has only empty lines, or more than half of its lines are in the training text
            and ``allow_overlap`` is not set.
    """
    if corpora.valid is None or (corpora.name if valid in (None, AUTO) else valid) in LANGUAGES:
        return corpora
    what = f"the validation text {_described(corpora, valid)}"
    if is_blank(corpora.valid):
        raise TextError(f"{what} has only empty lines; choose another validation text, or 'none'")
    found = overlap(corpora.train, corpora.valid, config.level)
    if not found.in_most_lines:
        return corpora
    where = f"at least {found.found:,} of its {found.lines:,} distinct lines are there"
    repeats = f"{what} repeats the training text: {where}"
    if allow_overlap:
        return replace(corpora, warning=f"{repeats}; its perplexity measures memorisation")
    raise TextError(
        f"{repeats}, so its perplexity would measure memorisation; validate on other text (`valid=FILE`), "
        "on none (`valid='none'`), or add `allow_overlap=True` if the text repeats itself by nature"
    )


def _described(corpora: RunCorpora, valid: str | None) -> str:
    return f"held out of {corpora.name}" if corpora.held_out else str(valid or f"of {corpora.name}")


def _valid_sources(corpus: str, valid: str | None, config: Config) -> list[Path] | None:
    if valid == NO_VALIDATION:
        return None
    if valid not in (None, AUTO) and valid != corpus:
        return datasets.resolve(str(valid), "valid")
    if not datasets.is_named(corpus):
        return None if valid in (None, AUTO) else datasets.resolve(corpus)
    if valid is None and config.max_tokens:
        return None
    if has_validation(corpus):
        return datasets.resolve(corpus, "valid")
    if valid == corpus:
        raise DatasetError(
            f"{corpus} has no validation part; hold out the end of the text with `valid='auto'`"
        )
    return None


def has_validation(corpus: str) -> bool:
    """Return whether a corpus argument is a named corpus with a validation part of its own."""
    return datasets.is_named(corpus) and "valid" in named(corpus).files


def absolute_source(source: str) -> str:
    """Return a corpus argument that is valid from any folder: a path is made absolute."""
    is_name = source in (NO_VALIDATION, AUTO) or datasets.is_named(source)
    return source if is_name else str(Path(source).absolute())


def _references(corpus: str, train: Corpus, valid: Corpus, config: Config) -> dict[str, float]:
    """Return an n-gram model's perplexity, and the lowest possible one where the true distribution is known."""
    vocabulary = train.vocabulary
    optimum = rooms_optimum(corpus, valid.ids, vocabulary)
    if optimum is None:
        small = config.model != "ngram" and 0 < train.tokens <= MAX_REFERENCE_TOKENS
        return _ngram_reference(train, valid, config) if small else {}
    markov = NgramModel.train(train.ids, len(vocabulary), order=3)
    return {
        "3-gram": evaluate(markov, valid.ids, eos=vocabulary.eos_id).perplexity,
        LOWEST: optimum.perplexity,
    }


def _ngram_reference(train: Corpus, valid: Corpus, config: Config) -> dict[str, float]:
    """Return the perplexity of a Kneser-Ney model: a 3-gram of word sentences, or a 5-gram of smaller tokens."""
    vocabulary, by_word = train.vocabulary, config.level == "word"
    order = 3 if by_word else 5
    model = NgramModel.train(
        train.ids, len(vocabulary), order, kneser_ney, vocabulary.eos_id if by_word else None
    )
    perplexity = evaluate(model, valid.ids, eos=vocabulary.eos_id).perplexity_known
    return {f"{order}-gram": perplexity} if math.isfinite(perplexity) else {}
