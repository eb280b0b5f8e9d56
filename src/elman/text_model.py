"""A language model of text: it scores sentences, in the vocabulary of KenLM, and tells what it expects next."""

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
from elman.models.tokenized import TokenizedModel, ngram_lengths, order_of


class FullScore(NamedTuple):
    """One token: log10 P(token | past), how many tokens that depends on (itself included), and if it is unknown."""

    log10_prob: float
    ngram_length: int
    unknown: bool


class TextModel(TokenizedModel):
    r"""What a model file holds: text goes in, ids are an inner matter. (Its fields are those of `TokenizedModel`.)

    **Logarithms** of the methods are decimal, as KenLM's; surprisal and entropy are in bits. (``TextModel.model``
    answers in natural ones.) **Boundaries**: with ``bos``, a sentence is predicted from the beginning of a line;
    without, from nothing at all. With ``eos``, its end is predicted too, as one more token: `<eos>`, which KenLM
    calls `</s>`, or the newline of a model of characters or bytes; a vocabulary without such a token has no end to
    predict. Neither is written in the sentence; a newline within it ends a line. **Unknown** tokens are scored
    as `<unk>`; where the vocabulary has none, their probability is 0 (-inf), and they are not read.

    In the examples, ``model`` is this 2-gram model, as `elman.load` gives it:

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
        """The most tokens that a probability depends on, itself included; None where there is no limit.

        >>> model.order
        2
        """
        return order_of(self.model)

    def __contains__(self, text: object) -> bool:
        """Tell whether the vocabulary knows a word; of characters or bytes, whether it knows all of a text.

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
        """Return log10 P of every sentence with its end, (n,): as `score` does, but of many several times as fast.

        >>> candidates = ["you say hello", "you say goodbye", "say you hello"]
        >>> candidates[model.scores(candidates).argmax()]
        'you say hello'
        """
        return np.array([score.log10_prob for score in score_lines(self, sentences)], np.float64)

    def full_scores(self, sentence: str, bos: bool = True, eos: bool = True) -> Iterator[FullScore]:
        """Yield the `FullScore` of every token: (log10 P, n-gram length, unknown).

        The length is that of the longest n-gram found, in an n-gram model; any other depends on all that was read,
        up to its `order`: the length is 1 for the token itself and 1 for each before it, the beginning of the
        sentence counted. It is 0 for a token that the model cannot predict.

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
                there = block[known][None].astype(np.intp)
                lengths[known] = ngram_lengths(self.model, there, state, read)[0]
                found, state = self.model.target_log_probs(there, state)
                log10_probs[known] = found[0] / math.log(10)
                read += there.size
            marks = unknown[first : first + BLOCK]
            yield from map(FullScore, log10_probs.tolist(), lengths.tolist(), marks)

    def perplexity(self, sentence: str) -> float:
        """Return 10 ** (-score / n), n the tokens of the sentence and its end: per token, each of them counted.

        >>> round(model.perplexity("you say hello"), 4)  # 10 ** (0.9227 / 4)
        1.7008
        """
        return score_line(self, sentence).perplexity

    def base_score(self, in_state: Any, word: str) -> tuple[float, Any]:
        r"""Return log10 P(word | in_state), and the state after it; ``in_state`` stays what it was.

        A word with several tokens, as in a model of characters, is their sum. ``"\n"`` is the end of the sentence.

        >>> state = model.begin_sentence()
        >>> total = 0.0
        >>> for word in ["you", "say", "hello", "\n"]:
        ...     log10_prob, state = model.base_score(state, word)
        ...     total += log10_prob
        >>> round(total, 4), round(model.score("you say hello"), 4)
        (-0.9227, -0.9227)
        """
        ids = self.encode(word)[1]
        known = _readable(ids)
        if not known.size:
            return (-math.inf if len(ids) else 0.0), in_state
        found, after = self.model.target_log_probs(known, in_state)
        log10_prob = float(found.sum(dtype=np.float64)) / math.log(10)
        return (log10_prob if known.size == len(ids) else -math.inf), after

    def next_distribution(self, text: str, top: int | None = 10, bos: bool = True) -> list[tuple[str, float]]:
        """Return the most probable next tokens after a text, each with its probability; None for all, which sum to 1.

        >>> [(token, round(probability, 3)) for token, probability in model.next_distribution("you say", top=2)]
        [('hello', 0.467), ('goodbye', 0.244)]

        Raises:
            ConfigError: ``top`` is below 1.
        """
        if top is not None and top < 1:
            raise ConfigError(f"top must be 1 token or more, or None for all, got {top}")
        state = self.begin_sentence() if bos else self.null_context()
        known = _readable(self.encode(text)[1])
        if known.size:
            state = self.model.feed(known, state)
        log_probs = self.model.next_log_probs(state)[0]
        best = np.argsort(-log_probs, kind="stable")[:top]
        return list(zip(self.vocabulary.decode(best), np.exp(log_probs[best]).tolist(), strict=True))

    def surprisal(self, text: str, bos: bool = True, eos: bool = True) -> list[TokenScore]:
        """Return the `TokenScore` of every token: surprisal and entropy in bits, rank, and its place in the text.

        >>> text = "you  say hello"
        >>> for token in model.surprisal(text):
        ...     bits = f"{token.surprisal_bits:.3f} of {token.entropy_bits:.3f} bits, rank {token.rank}"
        ...     print(f"{token.token!r} at {token.start}-{token.end} {text[token.start:token.end]!r}: {bits}")
        'you' at 0-3 'you': 1.100 of 2.091 bits, rank 1
        'say' at 5-8 'say': 0.433 of 1.414 bits, rank 1
        'hello' at 9-14 'hello': 1.100 of 2.091 bits, rank 1
        '<eos>' at 14-14 '': 0.433 of 1.414 bits, rank 1
        """
        return list(token_scores(self, text, bos, eos))


def _readable(ids: Ids) -> NDArray[np.intp]:
    """Return the ids (1, T) that the vocabulary has."""
    return np.asarray(ids)[np.asarray(ids) >= 0].astype(np.intp)[None]


def load(path: str | Path, backend: Backend = NUMPY) -> TextModel:
    """Load a model from its file, or from a run folder: its best model, or its last before there is a best.

    The content decides, not the name: a model file of elman's, or an ARPA file (gzipped or not) of any program's
    making. A file does not say on which backend it was trained: any model can be loaded on any.

    Raises:
        ModelFileError: there is none, it is truncated, foreign, or of an unknown kind.
        MissingExtra: it is of subwords, and the library that cuts them is not installed.
    """
    path = model_file(Path(path))
    found = read_arpa(path) if is_arpa(path) else read_model(path, backend)
    return TextModel(found.model, found.tokenizer, found.vocabulary, found.info, found.start)
