"""All measures of a text model on a text, with what defines them: `measure` returns a `TextEvaluation`."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from elman.evaluation.comparison import replaced_tokens
from elman.evaluation.perplexity import Watch, evaluate
from elman.evaluation.rooms import rooms_optimum
from elman.evaluation.unknown_tokens import MOST, warn_of_unknown
from elman.formats.versions import versions
from elman.models.adaptive.cache import CachedModel
from elman.models.adaptive.dynamic import DynamicModel
from elman.models.base import LanguageModel
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.models.tokenized import TokenizedModel
from elman.models.window import WindowLM
from elman.results import as_row, format_table, html_table, pandas
from elman.text.corpus import Corpus
from elman.text.reading import Errors
from elman.text.sources import Text, encoded, warn_of_table

logger = logging.getLogger(__name__)
OPTIONAL = ("dynamic", "cache", "lowest_possible_perplexity")  # left out of `to_dict` if they are None


@dataclass(frozen=True, repr=False)
class TextEvaluation:
    """The measures of a model on one text, and what defines them.

    Every number follows from ``nll_nats`` and a count. It is infinite if a token has probability 0.

    Attributes:
        unit: what a token is: word, character, byte or subword.
        perplexity: per token, exp(nll_nats / tokens).
        perplexity_known_tokens: per token, over the tokens that the vocabulary has; nan if there are none.
        bits_per_token: nll_nats / (ln 2 · tokens).
        perplexity_per_word: exp(nll_nats / (words + lines)), whatever the tokens are; None for a text without words.
        bits_per_char: nll_nats / (ln 2 · characters).
        bits_per_byte: nll_nats / (ln 2 · bytes).
        tokens: of the text, with the ends of its lines if the vocabulary has a token for them.
        words: what whitespace separates.
        unknown_tokens: tokens that the vocabulary lacks.
        unknown_rule: how they are scored.
        characters: of the text, with its newlines.
        bytes: the same in UTF-8.
        lines: of the text.
        nll_nats: -ln P(text); tokens of probability 0 are left out.
        vocab_size: the tokens that the model can predict.
        end_of_line: whether ends of lines are among the tokens.
        first_token: what the first token is predicted from.
        state: what the model remembers from one token to the next.
        dynamic: how it learns from the text that it reads, if it does.
        cache: the probabilities of its cache, if it has one.
        lowest_possible_perplexity: of a text of the world of rooms, by the probabilities that drew it.
        versions: of what computed these numbers, see `elman.formats.versions`.
    """

    unit: str
    perplexity: float
    perplexity_known_tokens: float
    bits_per_token: float
    perplexity_per_word: float | None
    bits_per_char: float
    bits_per_byte: float
    tokens: int
    words: int
    unknown_tokens: int
    unknown_rule: str
    characters: int
    bytes: int
    lines: int
    nll_nats: float
    vocab_size: int
    end_of_line: str
    first_token: str
    state: str
    dynamic: str | None = None
    cache: str | None = None
    lowest_possible_perplexity: float | None = None
    versions: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the measures by their names; those that the model or the text does not have are left out."""
        return {name: v for name, v in as_row(self).items() if v is not None or name not in OPTIONAL}

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame of one row. Raises MissingExtra where pandas is not installed."""
        return pandas().DataFrame([self.to_dict()])

    def text_rows(self) -> list[tuple[str, str]]:
        """Return the measures as text: names and values."""
        unit = self.unit
        size = f"{self.tokens:,} in {self.lines:,} lines, {self.characters:,} characters"
        unknown = f"{self.unknown_tokens:,} ({self.unknown_tokens / self.tokens:.2%})"
        rows = [(f"perplexity per {unit}", f"{self.perplexity:.4f}")]
        if unit != "word" and self.perplexity_per_word is not None:
            per_word = self.perplexity_per_word
            shown = f"{per_word:.4f}" if per_word < 1e6 else f"{per_word:.4g}"
            counted = f"{self.words:,} words between spaces and {self.lines:,} ends of lines"
            rows.append(("perplexity per word", f"{shown}, for {counted}"))
        if self.lowest_possible_perplexity is not None:
            rows.append(("lowest possible perplexity", f"{self.lowest_possible_perplexity:.4f}"))
        rows += [
            ("bits per character", f"{self.bits_per_char:.4f}"),
            ("bits per byte", f"{self.bits_per_byte:.4f}"),
            (f"{unit}s", size),
            (f"unknown {unit}s", f"{unknown}, {self.unknown_rule}" if self.unknown_tokens else unknown),
            (f"perplexity per known {unit}", f"{self.perplexity_known_tokens:.4f}"),
            ("vocabulary", f"{self.vocab_size:,}"),
            ("end of line", f"{self.end_of_line}; the first {unit} is predicted {self.first_token}"),
            ("state", self.state),
        ]
        return rows + [(name, v) for name in ("dynamic", "cache") if (v := getattr(self, name)) is not None]

    def __repr__(self) -> str:
        return format_table(self.text_rows(), left=2)

    def _repr_html_(self) -> str:
        return html_table(self.text_rows(), left=2, head=False)


def evaluate_text(
    text_model: TokenizedModel,
    text: Text,
    split: str,
    encoding: str,
    batch_size: int,
    errors: Errors = "strict",
) -> TextEvaluation:
    """Return all measures of a model on a text: see `elman.TextModel.evaluate`."""
    warn_of_table(text)
    with encoded(text, text_model.tokenizer, text_model.vocabulary, split, encoding, errors) as corpus:
        found = measure(text_model, corpus, batch_size)
        if found.unknown_tokens > MOST * found.tokens:
            warn_of_unknown(text_model, replaced_tokens(text_model, corpus, encoding, errors), found.tokens)
    if found.unknown_tokens and text_model.vocabulary.unk_id is None:
        logger.warning(
            f"{found.unknown_tokens:,} {found.unit}s are not in the vocabulary, which has no <unk>: the text has "
            "probability 0; `train(min_count=2)` or `train(max_vocab=N)` gives unknown words a probability"
        )
    return found


def measure(
    text_model: TokenizedModel, corpus: Corpus, batch_size: int = 1, watch: Watch | None = None
) -> TextEvaluation:
    """Return all measures of a model on a text; ``batch_size`` and ``watch`` are passed to `evaluate`."""
    vocabulary = text_model.vocabulary
    found = evaluate(
        text_model.model,
        corpus.ids,
        eos=text_model.start_id,
        unk=vocabulary.unk_id,
        batch_size=batch_size,
        watch=watch,
    )
    optimum = rooms_optimum(str(text_model.info.get("corpus")), corpus.ids, vocabulary)
    return TextEvaluation(
        unit=text_model.unit,
        perplexity=found.perplexity,
        perplexity_known_tokens=found.perplexity_known,
        bits_per_token=found.bits_per(corpus.tokens),
        perplexity_per_word=found.perplexity_per(corpus.words + corpus.lines) if corpus.words else None,
        bits_per_char=found.bits_per(corpus.characters),
        bits_per_byte=found.bits_per(corpus.bytes),
        tokens=found.tokens,
        words=corpus.words,
        unknown_tokens=found.unknown,
        unknown_rule="scored as <unk>" if vocabulary.unk_id is not None else "probability 0: no <unk>",
        characters=corpus.characters,
        bytes=corpus.bytes,
        lines=corpus.lines,
        nll_nats=found.nll_nats,
        vocab_size=len(vocabulary),
        end_of_line="counted" if vocabulary.eos_id is not None else "not in the vocabulary",
        first_token=_describe_start(text_model),
        state=_describe_state(text_model, found.batch_size),
        lowest_possible_perplexity=None if optimum is None else optimum.perplexity,
        versions=versions(text_model.model),
        **adaptations(text_model.model),
    )


def _describe_start(text_model: TokenizedModel) -> str:
    """Describe what the first token of a text is predicted from."""
    if text_model.start_id is None:
        return "from the empty past"
    return "from the end of a line" if text_model.start == "eos" else f"from {text_model.start}"


MEMBERS = {"dynamic": "each recurrent or window member: ", "cache": "each recurrent member: "}


def adaptations(model: LanguageModel) -> dict[str, str]:
    """Describe how a model, or the members of a mixture, adapt to the text: under "dynamic" and "cache"."""
    if isinstance(model, Mixture):
        found: dict[str, str] = {}
        for member in model.models:
            found |= adaptations(member)
        return {name: MEMBERS[name] + text.removeprefix(MEMBERS[name]) for name, text in found.items()}
    if isinstance(model, DynamicModel):
        return {"dynamic": model.definition}
    if isinstance(model, CachedModel):
        inner = adaptations(model.model)
        both = [text for text in (inner.get("cache"), model.definition) if text]
        return inner | {"cache": "; ".join(both)}
    return {}


def _describe_state(text_model: TokenizedModel, batch_size: int) -> str:
    """Describe what the model remembers from one token to the next."""
    carried = (
        "carried through the text" if batch_size == 1 else f"carried through each of {batch_size} sequences"
    )
    model = text_model.model
    if isinstance(model, DynamicModel):
        return _describe_state(replace(text_model, model=model.model), batch_size)
    if isinstance(model, CachedModel):
        inner = _describe_state(replace(text_model, model=model.model), batch_size)
        return inner if inner == carried else f"{inner}; the cache is {carried}"
    if isinstance(model, Mixture):
        members = {_describe_state(replace(text_model, model=member), batch_size) for member in model.models}
        return members.pop() if len(members) == 1 else carried
    if isinstance(model, NgramModel) and model.eos is not None:
        return "reset on every line"
    if isinstance(model, WindowLM):
        return f"the last {model.window} {text_model.unit}s, {carried}"
    return carried
