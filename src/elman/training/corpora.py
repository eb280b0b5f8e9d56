"""The texts of a run: what it learns from, what it is validated on, and what it is measured against."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from elman.errors import DatasetError, TextError
from elman.evaluation.optimum import LOWEST, rooms_optimum
from elman.evaluation.perplexity import evaluate
from elman.models.ngram import NgramModel
from elman.text import datasets
from elman.text.corpus import Corpus, encode_corpus
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.training.config import Config

Progress = Callable[[int, int], None]
NO_VALIDATION = "none"


@dataclass(frozen=True)
class RunCorpora:
    """``references`` are perplexities of the validation text to hold the model's against."""

    name: str
    train: Corpus
    valid: Corpus | None = None
    references: dict[str, float] = field(default_factory=dict)


def load_corpora(
    corpus: str,
    valid: str | None,
    config: Config,
    run: Path,
    progress: Progress | None = None,
    vocabulary: Vocabulary | None = None,
) -> RunCorpora:
    """Encode the texts of a run; the ids are kept beside the run folder and used again while the files are the same.

    ``valid`` is a file, a folder or a named corpus; None takes the validation part of a named corpus that has
    one, unless only its first tokens are learnt; "none" means no validation.
    """
    tokenizer = make_tokenizer(config.level, config.lower)
    cache = run.absolute().parent / ".elman-cache"
    train = encode_corpus(
        datasets.resolve(corpus, "train"),
        tokenizer,
        cache=cache,
        vocabulary=vocabulary,
        encoding=config.encoding,
        order=config.vocab_order,
        max_vocab=config.max_vocab or None,
        min_count=config.min_count,
        max_tokens=config.max_tokens or None,
        progress=progress,
    )
    sources = _valid_sources(corpus, valid, config)
    if sources is None:
        return RunCorpora(corpus, train)
    held_out = encode_corpus(
        sources,
        tokenizer,
        cache=cache,
        vocabulary=train.vocabulary,
        encoding=config.encoding,
        progress=progress,
    )
    if held_out.unknown == held_out.tokens and train.vocabulary.unk_id is None:
        raise TextError(
            f"the vocabulary of {corpus} has no token of the validation text {valid or corpus}; "
            "name another by --valid, or `none`"
        )
    return RunCorpora(corpus, train, held_out, _references(corpus, train, held_out))


def _valid_sources(corpus: str, valid: str | None, config: Config) -> list[Path] | None:
    if valid == NO_VALIDATION:
        return None
    if valid is not None:
        return datasets.resolve(valid, "valid")
    if not datasets.is_named(corpus) or config.max_tokens:
        return None
    try:
        return datasets.resolve(corpus, "valid")
    except DatasetError:  # a corpus of one part
        return None


def lasting(source: str) -> str:
    """Return a corpus argument that means the same text from any folder: a path becomes absolute."""
    return source if source == NO_VALIDATION or datasets.is_named(source) else str(Path(source).absolute())


def _references(corpus: str, train: Corpus, valid: Corpus) -> dict[str, float]:
    """Return the lowest possible perplexity and a 3-gram model's, where the true distribution is known."""
    vocabulary = train.vocabulary
    optimum = rooms_optimum(corpus, valid.ids, vocabulary)
    if optimum is None:
        return {}
    markov = NgramModel.train(train.ids, len(vocabulary), order=3)
    return {
        "3-gram": evaluate(markov, valid.ids, eos=vocabulary.eos_id).perplexity,
        LOWEST: optimum.perplexity,
    }
