"""`TextModel`: scores, surprisals and predictions for text, by a model with its tokenizer and vocabulary."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elman.backend import NUMPY, Backend
from elman.errors import ConfigError
from elman.evaluation.line_scores import BLOCK, score_line, score_lines
from elman.evaluation.surprisal import TokenScore, token_scores
from elman.formats.arpa_reader import is_arpa, read_arpa
from elman.formats.model_file import model_file, read_model
from elman.models.base import Ids
from elman.models.tokenized import TokenizedModel, ngram_lengths, order_of, reading_threads
from elman.workers import limited_threads


class FullScore(NamedTuple):
    """A token's log10 P(token | past), the number of tokens that it depends on (itself included), if it is unknown."""

    log10_prob: float
    ngram_length: int
    unknown: bool


class TextModel(TokenizedModel):
    r"""A language model of text: the content of a model file. (Its fields are those of `TokenizedModel`.)

    Any number of threads may use a model at the same time, while it is not being trained.

    **Logarithms** returned by the methods are decimal, as KenLM's; surprisal and entropy are in bits.
    (``TextModel.model`` uses natural logarithms.) **Boundaries**: with ``bos``, a sentence is predicted from the
    beginning of a line; without it, from an empty past. With ``eos``, its end is predicted too, as one more token:
    `<eos>`, which KenLM calls `</s>`, or the newline of a model of characters or bytes; if the vocabulary has no such
    token, no end is predicted. Neither is part of the sentence; a newline within it ends a line. **Unknown** tokens
    are scored as `<unk>`; if the vocabulary has none, their probability is 0 (-inf), and the model does not read them.

    In the examples, ``model`` is this 2-gram model, as returned by `elman.load`:

    >>> from elman import NgramModel, TextModel, Vocabulary, make_tokenizer
    >>> tokenizer = make_tokenizer("word")
    >>> tokens = tokenizer.tokens("you say hello\nyou say goodbye\ni say hello\n")
    >>> vocabulary = Vocabulary(["you", "say", "hello", "goodbye", "i", "<eos>"], eos="<eos>")
    >>> ids = vocabulary.encode(tokens)
    >>> ngrams = NgramModel.train(ids, len(vocabulary), order=2, eos=vocabulary.eos_id)
    >>> model = TextModel(ngrams, tokenizer, vocabulary)
    """

    @property
    def order(self) -> int | None:
        """The most tokens that a probability depends on, the predicted one included; None if there is no limit.

        >>> model.order
        2
        """
        return order_of(self.model)

    def __contains__(self, text: object) -> bool:
        """Return whether the vocabulary has a word, or all tokens of a text.

        >>> "hello" in model, "farewell" in model
        (True, False)
        """
        if not isinstance(text, str):
            return False
        tokens, _ = self.encode(text)
        return bool(tokens) and not self.is_unknown(tokens).any()

    def score(self, sentence: str, bos: bool = True, eos: bool = True) -> float:
        """Return log10 P(sentence, end | beginning).

        >>> round(model.score("you say hello"), 4)  # log10 P(you say hello <eos> | <s>)
        -0.9227
        >>> round(model.score("say hello", bos=False, eos=False), 4)  # log10 P(say hello)
        -0.9842

        The score of a text is the sum of its parts:

        >>> parts = [log10_prob for log10_prob, _, _ in model.full_scores("you say hello")]
        >>> round(sum(parts), 4)
        -0.9227
        """
        return sum(score.log10_prob for score in self.full_scores(sentence, bos, eos))

    def scores(self, sentences: Iterable[str]) -> NDArray[np.float64]:
        """Return log10 P of every sentence with its end, (n,): like `score`, but several times as fast for many.

        >>> candidates = ["you say hello", "you say goodbye", "say you hello"]
        >>> candidates[model.scores(candidates).argmax()]
        'you say hello'
        """
        return np.array([score.log10_prob for score in score_lines(self, sentences)], np.float64)

    def full_scores(self, sentence: str, bos: bool = True, eos: bool = True) -> Iterator[FullScore]:
        """Yield the `FullScore` of every token: (log10 P, n-gram length, unknown).

        In an n-gram model the length is that of the longest n-gram found. Any other model depends on everything it
        has read, up to its `order`: the length counts the token itself and those before it, with the beginning of
        the sentence. It is 0 for a token that the model cannot predict.

        >>> for log10_prob, length, unknown in model.full_scores("you say farewell"):
        ...     print(f"{log10_prob:.3f} {length} {unknown}")
        -0.331 2 False
        -0.130 2 False
        -inf 0 True
        -1.051 1 False
        """
        tokens, ids = self.encode_line(sentence) if eos else self.encode(sentence)
        unknown = self.is_unknown(tokens).tolist()
        state = self.begin_sentence() if bos else self.null_context()
        read = int(bos and self.start_id is not None)
        for first in range(0, len(ids), BLOCK):
            block = ids[first : first + BLOCK]
            known = block >= 0
            log10_probs, lengths = np.full(len(block), -math.inf), np.zeros(len(block), np.int64)
            if known.any():
                known_ids = block[known][None].astype(np.intp)
                lengths[known] = ngram_lengths(self.model, known_ids, state, read)[0]
                with reading_threads(known_ids.size, self.model):
                    log_probs, state = self.model.target_log_probs(known_ids, state)
                log10_probs[known] = log_probs[0] / math.log(10)
                read += known_ids.size
            flags = unknown[first : first + BLOCK]
            yield from map(FullScore, log10_probs.tolist(), lengths.tolist(), flags)

    def perplexity(self, sentence: str) -> float:
        """Return the perplexity per token, 10 ** (-score / n), with n tokens of the sentence and its end.

        >>> round(model.perplexity("you say hello"), 4)  # 10 ** (0.9227 / 4)
        1.7008
        """
        return score_line(self, sentence).perplexity

    def base_score(self, in_state: Any, word: str) -> tuple[float, Any]:
        r"""Return log10 P(word | in_state) and the state after the word; ``in_state`` is not changed.

        The log10 P of a word of several tokens, as in a model of characters, is their sum. ``"\n"`` is the end of the
        sentence.

        >>> state = model.begin_sentence()
        >>> total = 0.0
        >>> for word in ["you", "say", "hello", "\n"]:
        ...     log10_prob, state = model.base_score(state, word)
        ...     total += log10_prob
        >>> round(total, 4), round(model.score("you say hello"), 4)
        (-0.9227, -0.9227)
        """
        ids = self.encode(word)[1]
        known = _known_ids(ids)
        if not known.size:
            return (-math.inf if len(ids) else 0.0), in_state
        with reading_threads(known.size, self.model):
            found, after = self.model.target_log_probs(known, in_state)
        log10_prob = float(found.sum(dtype=np.float64)) / math.log(10)
        return (log10_prob if known.size == len(ids) else -math.inf), after

    def next_distribution(self, text: str, top: int | None = 10, bos: bool = True) -> list[tuple[str, float]]:
        """Return the ``top`` most probable next tokens after a text, with their probabilities; all tokens for None.

        >>> [(token, round(probability, 3)) for token, probability in model.next_distribution("you say", top=2)]
        [('hello', 0.467), ('goodbye', 0.244)]

        Raises:
            ConfigError: ``top`` is below 1.
        """
        if top is not None and top < 1:
            raise ConfigError(f"top must be ≥ 1, or None for all tokens; got {top}")
        state = self.begin_sentence() if bos else self.null_context()
        known = _known_ids(self.encode(text)[1])
        with reading_threads(known.size, self.model):
            if known.size:
                state = self.model.feed(known, state)
            log_probs = self.model.next_log_probs(state)[0]
        best = np.argsort(-log_probs, kind="stable")[:top]
        return list(zip(self.vocabulary.decode(best), np.exp(log_probs[best]).tolist(), strict=True))

    def surprisal(self, text: str, bos: bool = True, eos: bool = True) -> list[TokenScore]:
        """Return the `TokenScore` of every token: surprisal and entropy in bits, rank, and position in the text.

        >>> text = "you  say hello"
        >>> for token in model.surprisal(text):
        ...     bits = f"{token.surprisal_bits:.3f} of {token.entropy_bits:.3f} bits, rank {token.rank}"
        ...     print(f"{token.token!r} at {token.start}-{token.end} {text[token.start:token.end]!r}: {bits}")
        'you' at 0-3 'you': 1.100 of 2.091 bits, rank 1
        'say' at 5-8 'say': 0.433 of 1.414 bits, rank 1
        'hello' at 9-14 'hello': 1.100 of 2.091 bits, rank 1
        '<eos>' at 14-14 '': 0.433 of 1.414 bits, rank 1
        """
        with limited_threads(0):  # once, not once a token
            return list(token_scores(self, text, bos, eos))


def _known_ids(ids: Ids) -> NDArray[np.intp]:
    """Return the ids that the vocabulary has, as (1, T)."""
    return np.asarray(ids)[np.asarray(ids) >= 0].astype(np.intp)[None]


def load(path: str | Path, backend: Backend = NUMPY) -> TextModel:
    """Load a model from a file, or from a run folder: its best model so far or, before there is one, the last.

    The content decides, not the name: a model file of elman, or an ARPA file (gzipped or not) of any program. Any
    model can be loaded on any backend, whichever it was trained on.

    Raises:
        ModelFileError: the file is missing, truncated, of another program, or of an unknown kind.
        MissingExtra: the tokenizer needs a library that is not installed.
    """
    path = model_file(Path(path))
    found = read_arpa(path) if is_arpa(path) else read_model(path, backend)
    return TextModel(found.model, found.tokenizer, found.vocabulary, found.info, found.start)
