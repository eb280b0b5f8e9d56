"""The texts of a run: what it learns from, what it is validated on, and what it is measured against."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from elman.errors import DatasetError, TextError
from elman.evaluation.perplexity import evaluate
from elman.evaluation.rooms import LOWEST, rooms_optimum
from elman.models.ngram.model import NgramModel
from elman.models.ngram.smoothing import kneser_ney
from elman.text import datasets
from elman.text.corpus import Corpus, encode_corpus
from elman.text.held_out import Cut, hold_out
from elman.text.registry import LANGUAGES
from elman.text.stream import Span
from elman.text.tokenizers import LineCharacters, Tokenizer, WordTokenizer
from elman.text.vocabulary import Vocabulary
from elman.training.config import AUTO, Config
from elman.training.model_options import learns_tokenizer, tokenizer_for
from elman.training.overlap import is_blank, overlap

Progress = Callable[[int, int], None]
NO_VALIDATION = "none"
COUNTED_TOKENS = 2_500_000  # the longest text whose n-grams are counted by the way: a second or two


@dataclass(frozen=True)
class RunCorpora:
    """``references`` are perplexities of the validation text to hold the model's against.

    ``held_out`` tells whether the validation text is the end of the corpus, which is not learnt then;
    ``warning`` says what makes its perplexity mean less than it seems. ``tokenizer`` made the ids.
    """

    name: str
    train: Corpus
    valid: Corpus | None = None
    references: dict[str, float] = field(default_factory=dict)
    held_out: bool = False
    warning: str = ""
    tokenizer: Tokenizer = field(default_factory=WordTokenizer)


def load_corpora(
    corpus: str,
    valid: str | None,
    config: Config,
    run: Path,
    progress: Progress | None = None,
    vocabulary: Vocabulary | None = None,
    tokenizer: Tokenizer | None = None,
) -> RunCorpora:
    """Encode the texts of a run; the ids are kept beside the run folder and used again while the files are the same.

    ``valid`` is a file, a folder or a named corpus; None takes the validation part of a named corpus that has
    one, unless only its first tokens are learnt; "none" means no validation; "auto" the validation part of a
    named corpus, and else the last 5 % of the text (of its first ``max_tokens``), which are not learnt. Without a
    ``tokenizer`` it is as the options say; one of subwords that is learnt is learnt from the training text only.
    """
    cache = run.absolute().parent / ".elman-cache"
    texts = datasets.resolve(corpus, "train")
    sources, limit = _valid_sources(corpus, valid, config), config.max_tokens or None
    cut: Cut | None = None
    spans = Span(), Span()  # of the training text and of what is held out, where no token can be counted yet
    if learns_tokenizer(config):
        if sources is None and valid == AUTO:
            units = LineCharacters(config.lower)
            found = hold_out(texts, units, cache=cache, encoding=config.encoding)
            sources, spans = texts, (Span(0, found.learnt), Span(found.learnt))
        tokenizer = tokenizer or tokenizer_for(config, texts, spans[0])
    else:
        tokenizer = tokenizer or tokenizer_for(config)
        if sources is None and valid == AUTO:
            cut = hold_out(texts, tokenizer, cache=cache, encoding=config.encoding, max_tokens=limit)
            sources = texts
    train = encode_corpus(
        texts,
        tokenizer,
        cache=cache,
        vocabulary=vocabulary,
        encoding=config.encoding,
        order=config.vocab_order,
        max_vocab=config.max_vocab or None,
        min_count=config.min_count,
        max_tokens=limit if cut is None else cut.learnt,
        span=spans[0],
        progress=progress,
    )
    if sources is None:
        return RunCorpora(corpus, train, tokenizer=tokenizer)
    held_out = encode_corpus(
        sources,
        tokenizer,
        cache=cache,
        vocabulary=train.vocabulary,
        encoding=config.encoding,
        max_tokens=None if cut is None else cut.tokens - cut.learnt,
        skip_tokens=0 if cut is None else cut.learnt,
        span=spans[1],
        progress=progress,
    )
    if held_out.unknown == held_out.tokens and train.vocabulary.unk_id is None:
        raise TextError(
            f"the vocabulary of {corpus} has no token of the validation text {valid or corpus}; "
            "name another by --valid, or `none`"
        )
    is_end = sources is texts
    return RunCorpora(
        corpus, train, held_out, _references(corpus, train, held_out, config), is_end, tokenizer=tokenizer
    )


def check_valid(
    corpora: RunCorpora, valid: str | None, config: Config, allow_overlap: bool = False
) -> RunCorpora:
    """Return the texts with a warning, if there is one to give; ``valid`` is what `load_corpora` was told.

    The generated worlds' own splits pass: they repeat themselves by nature, and were drawn apart.

    Raises:
        TextError: the validation text is blank, or most of its lines stand in the training text and
            ``allow_overlap`` is not set.
    """
    if corpora.valid is None or (corpora.name if valid in (None, AUTO) else valid) in LANGUAGES:
        return corpora
    what = f"the validation text {_described(corpora, valid)}"
    if is_blank(corpora.valid):
        raise TextError(f"{what} holds nothing but blank lines; name another by --valid, or `none`")
    found = overlap(corpora.train, corpora.valid, config.level)
    if not found.most:
        return corpora
    most = f"{what} stands in the training text: at least {found.found:,} of its {found.lines:,} distinct lines do"
    if allow_overlap:
        return replace(corpora, warning=f"{most}; its perplexity says what was learnt by heart")
    raise TextError(
        f"{most}, so that its perplexity would say what was learnt by heart; validate on other text (--valid FILE), "
        "on none (--valid none), or add --allow-overlap if the text repeats itself by nature"
    )


def _described(corpora: RunCorpora, valid: str | None) -> str:
    return f"held out of {corpora.name}" if corpora.held_out else str(valid or f"of {corpora.name}")


def _valid_sources(corpus: str, valid: str | None, config: Config) -> list[Path] | None:
    if valid == NO_VALIDATION:
        return None
    if valid not in (None, AUTO):
        return datasets.resolve(str(valid), "valid")
    if not datasets.is_named(corpus) or (config.max_tokens and valid is None):
        return None
    try:
        return datasets.resolve(corpus, "valid")
    except DatasetError:  # a corpus of one part
        return None


def lasting(source: str) -> str:
    """Return a corpus argument that means the same text from any folder: a path becomes absolute."""
    kept = source in (NO_VALIDATION, AUTO) or datasets.is_named(source)
    return source if kept else str(Path(source).absolute())


def _references(corpus: str, train: Corpus, valid: Corpus, config: Config) -> dict[str, float]:
    """Return an n-gram model's perplexity, and the lowest possible one where the true distribution is known."""
    vocabulary = train.vocabulary
    optimum = rooms_optimum(corpus, valid.ids, vocabulary)
    if optimum is None:
        small = config.model != "ngram" and 0 < train.tokens <= COUNTED_TOKENS
        return _ngram_reference(train, valid, config) if small else {}
    markov = NgramModel.train(train.ids, len(vocabulary), order=3)
    return {
        "3-gram": evaluate(markov, valid.ids, eos=vocabulary.eos_id).perplexity,
        LOWEST: optimum.perplexity,
    }


def _ngram_reference(train: Corpus, valid: Corpus, config: Config) -> dict[str, float]:
    """Return the perplexity of an n-gram model: of sentences of words, of all that was read of smaller units."""
    vocabulary, by_word = train.vocabulary, config.level == "word"
    order = 3 if by_word else 5
    model = NgramModel.train(
        train.ids, len(vocabulary), order, kneser_ney, vocabulary.eos_id if by_word else None
    )
    perplexity = evaluate(model, valid.ids, eos=vocabulary.eos_id).perplexity_known
    return {f"{order}-gram": perplexity} if math.isfinite(perplexity) else {}
