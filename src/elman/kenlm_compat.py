"""A replacement for KenLM's Python module, so that decoders written for it can use any model of elman.

``from elman import kenlm_compat as kenlm`` provides the names that decoders use of KenLM's module, with its signatures
and its decimal logarithms. For a decoder that imports ``kenlm`` itself, first set
``sys.modules["kenlm"] = elman.kenlm_compat``.
"""

import contextlib
import math
import os
import re
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.evaluation.line_scores import sentence_log10, text_nlls
from elman.models.base import Ids, LogProbs
from elman.models.ngram.model import NgramModel
from elman.models.tokenized import ngram_lengths
from elman.text.tokenizers import WordTokenizer
from elman.text_model import TextModel, load
from elman.workers import limited_threads

START, END = "<s>", "</s>"
NO_LIMIT = 2**31 - 1  # the order of a model that depends on all of the past
MISSING_LOG10 = -100.0  # of an unknown word if the vocabulary has no <unk>, as in KenLM
_LN_10 = math.log(10)
_CACHED = 64  # distributions, of the states used last

__all__ = [
    "ARPALoadComplain",
    "Config",
    "FullScoreReturn",
    "LanguageModel",
    "LoadMethod",
    "Model",
    "State",
]


class LoadMethod:
    """KenLM's ways of reading a binary file; a model of elman is always read whole."""

    LAZY, POPULATE_OR_LAZY, POPULATE_OR_READ, READ, PARALLEL_READ = range(5)


class ARPALoadComplain:
    """When KenLM warns that an ARPA file is slow to load; elman does not."""

    ALL, EXPENSIVE, NONE = range(3)


class Config:
    """KenLM's settings of loading, with its defaults. They can be set, and change nothing."""

    def __init__(self) -> None:
        self.load_method = LoadMethod.POPULATE_OR_READ
        self.show_progress = True
        self.arpa_complain = ARPALoadComplain.ALL


class FullScoreReturn(NamedTuple):
    """log10 P(word | state), the number of tokens it depends on (the word included), and if the word is unknown."""

    log_prob: float
    ngram_length: int
    oov: bool


class State:
    """A decoder's state within a sentence: a `Model` writes it, `copy.copy` copies it; a new one is empty.

    Two states are equal, with the same hash, if the model continues from both in the same way.
    """

    __slots__ = ("_begun", "_read", "_value")

    def __init__(self) -> None:
        self._value: Any = None  # the model's own state, which is never changed
        self._read = 0  # tokens
        self._begun = False  # whether a word was read, so that a space precedes the next

    def _write(self, value: Any, read: int, begun: bool) -> None:
        self._value, self._read, self._begun = value, read, begun

    def __repr__(self) -> str:
        return f"State({self._read} tokens read)"

    def __copy__(self) -> "State":
        copied = State()
        copied._write(self._value, self._read, self._begun)
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> "State":
        return self.__copy__()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        return self._begun == other._begun and bool(self._value == other._value)

    def __hash__(self) -> int:
        return hash((self._begun, self._value))


class Model:
    """KenLM's ``Model(path, config)`` for a run folder, a model file, an ARPA file, or a `TextModel`.

    Paths, sentences and words may also be bytes, in UTF-8. The ``config`` changes nothing.
    ``order`` is 2,147,483,647 if the model depends on everything it has read. Sentences are words separated by
    spaces, without ``<s>`` and ``</s>``. A model of characters, bytes or subwords takes words too, and reads the
    spaces between them; its ``full_scores`` are those of its own tokens. A word that is unknown to a vocabulary
    without ``<unk>`` has the log10 probability -100, as in KenLM, and is not read.

    >>> model = Model(text_model)  # or Model("runs/words")
    >>> round(model.score("you say hello"), 4)
    -0.9227
    >>> state, after = State(), State()
    >>> model.BeginSentenceWrite(state)
    >>> round(model.BaseScore(state, "you", after), 4), round(model.BaseScore(after, "say", state), 4)
    (-0.331, -0.1303)

    Raises:
        ModelFileError: the path is not that of a model.
    """

    def __init__(self, path: str | bytes | Path | TextModel, config: Config | None = None) -> None:
        if isinstance(path, TextModel):
            self.text_model, self.path = path, b""
        else:
            file = Path(os.fsdecode(path)).absolute()
            self.text_model, self.path = load(file), os.fsencode(file)
        self.order: int = self.text_model.order or NO_LIMIT
        tokenizer = self.text_model.tokenizer
        # between words that are read one by one; some tokenizers add a space before each text themselves
        self._needs_spaces = tokenizer.level != "word" and not getattr(tokenizer, "leads", False)
        # an n-gram is looked up faster than a distribution is made
        self._is_ngram = isinstance(self.text_model.model, NgramModel)
        # by the id() of a state; the state is stored, too, so that its id is not reused
        self._cache: OrderedDict[int, tuple[Any, LogProbs]] = OrderedDict()

    def __contains__(self, word: str | bytes) -> bool:
        return _text(word) in (START, END) or _text(word) in self.text_model

    def __repr__(self) -> str:
        name = os.fsencode(Path(os.fsdecode(self.path)).name)
        return f"<Model from {name or self.text_model.model!r}>"

    def __reduce__(self) -> tuple[type["Model"], tuple[bytes | TextModel]]:
        return type(self), (self.path or self.text_model,)  # a copy in another process loads the file again

    def score(self, sentence: str | bytes, bos: bool = True, eos: bool = True) -> float:
        """Return log10 P(sentence </s> | <s>); without ``bos`` or ``eos``, without that beginning or end."""
        text = self._lines_of(sentence)
        model = self.text_model
        log10_prob = sentence_log10(model, text, bos, eos)
        if log10_prob > -math.inf or model.vocabulary.unk_id is not None:
            return log10_prob
        ids = model.line_ids(text) if eos else model.ids(text)
        known = ids[ids >= 0]
        start = model.begin_sentence() if bos else model.null_context()
        nll = text_nlls(model.model, [known], start).item()
        return (0.0 - nll) / _LN_10 + MISSING_LOG10 * (len(ids) - len(known))

    def full_scores(
        self, sentence: str | bytes, bos: bool = True, eos: bool = True
    ) -> Iterator[tuple[float, int, bool]]:
        """Yield (log10 P, n-gram length, unknown) of every word and, with ``eos``, of the end."""
        for log10_prob, length, unknown in self.text_model.full_scores(self._lines_of(sentence), bos, eos):
            yield log10_prob if length else MISSING_LOG10, length, unknown

    def perplexity(self, sentence: str | bytes) -> float:
        """Return 10 ** (-score / n) of a sentence, n its tokens and its end."""
        scores = [log10_prob for log10_prob, _, _ in self.full_scores(sentence)]
        return float(10 ** (-sum(scores) / len(scores))) if scores else math.nan

    def BeginSentenceWrite(self, state: State) -> None:
        """Set ``state`` to the beginning of a sentence."""
        state._write(self.text_model.begin_sentence(), int(self.text_model.start_id is not None), False)

    def NullContextWrite(self, state: State) -> None:
        """Set ``state`` to the empty past."""
        state._write(self.text_model.null_context(), 0, False)

    def BaseScore(self, in_state: State, word: str | bytes, out_state: State) -> float:
        """Return log10 P(word | in_state) and set ``out_state`` to the state after it; ``</s>`` ends the sentence."""
        value, known, missing = self._encode(in_state, word)
        log10_prob = MISSING_LOG10 * missing
        read, begun = in_state._read + known.size, self._needs_spaces and _text(word) != END
        if known.size:
            found, value = self._score(value, known)
            log10_prob += found
        out_state._write(value, read, begun)
        return log10_prob

    def BaseFullScore(self, in_state: State, word: str | bytes, out_state: State) -> FullScoreReturn:
        """Do the same as `BaseScore`; also return on how many tokens the last one depends, and if one is unknown."""
        value, known, missing = self._encode(in_state, word)
        lengths = ngram_lengths(self.text_model.model, known, value, in_state._read)[0].tolist()
        unknown = missing > 0 or bool((known == self.text_model.vocabulary.unknown_id).any())
        return FullScoreReturn(self.BaseScore(in_state, word, out_state), [0, *lengths][-1], unknown)

    def _lines_of(self, sentence: str | bytes) -> str:
        """Return the words of a sentence with a space between them, and a newline for each ``</s>``."""
        tokenizer = self.text_model.tokenizer
        words = tokenizer if isinstance(tokenizer, WordTokenizer) else WordTokenizer()
        one_line = " ".join(words.split(_text(sentence).replace("\n", " ")))
        return re.sub(f"(^| ){END}( |$)", "\n", one_line) if END in one_line else one_line

    def _encode(self, state: State, word: str | bytes) -> tuple[Any, NDArray[np.intp], int]:
        """Return the model's own state, the known ids (1, T) of a word after it, and the number of unknown tokens."""
        word = _text(word)
        if state._value is None:
            self.NullContextWrite(state)
        ids = self.text_model.ids("\n" if word == END else f" {word}" if state._begun else word)
        known = ids[ids >= 0][None].astype(np.intp)
        return state._value, known, len(ids) - known.size

    def _score(self, state: Any, ids: Ids) -> tuple[float, Any]:
        """Return log10 P(ids | state), of ids (1, T), and the state after them."""
        model = self.text_model.model
        if ids.size == 1 and not self._is_ngram:
            return float(self._next_log_probs(state)[ids[0, 0]]) / _LN_10, model.feed(ids, state)
        found, after = model.target_log_probs(ids, state)
        return float(found.sum(dtype=np.float64)) / _LN_10, after

    def _next_log_probs(self, state: Any) -> LogProbs:
        """Return ln P of every next token (V,), cached because a decoder tries many words after the same state."""
        cached = self._cache.get(id(state))
        if cached is None:
            with limited_threads(0):
                cached = (state, self.text_model.model.next_log_probs(state)[0])
            self._cache[id(state)] = cached
            if len(self._cache) > _CACHED:
                with contextlib.suppress(KeyError):  # another thread was faster
                    self._cache.popitem(last=False)
        else:
            with contextlib.suppress(KeyError):
                self._cache.move_to_end(id(state))
        return cached[1]


LanguageModel = Model  # its older name


def _text(text: str | bytes) -> str:
    return text.decode("utf-8") if isinstance(text, bytes) else text
