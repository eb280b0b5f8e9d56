"""`TextModel`: everything that a model does with text, with its tokenizer and vocabulary.

Each method calls a function of `elman.evaluation`, `elman.generation` or `elman.formats`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from elman.backend import Backend, Library
from elman.errors import ConfigError, RunError
from elman.evaluation.adaptation import DYNAMIC_BLOCK, Step, with_cache, with_dynamic
from elman.evaluation.full_scores import FullScore, full_scores
from elman.evaluation.line_measures import Per, Unit
from elman.evaluation.line_scores import score_line, score_lines, sentence_log10
from elman.evaluation.measures import TextEvaluation, evaluate_text
from elman.evaluation.next_tokens import NextTokens, next_tokens
from elman.evaluation.scored_lines import ScoreStream, ScoreTable, StateRule
from elman.evaluation.sentences import read_sentences
from elman.evaluation.spelling import AUTO, Case, Punctuation
from elman.evaluation.surprisal_table import Context, SurprisalTable, surprisal_table
from elman.evaluation.surprisal_table import Per as PerWordOrToken
from elman.formats.arpa_reader import is_arpa, read_arpa
from elman.formats.export import Form, FormatName, export, writer
from elman.formats.model_file import is_safetensors, model_file, read_model, save_model
from elman.formats.run_files import save_run
from elman.generation import Sampler, TextStream
from elman.layers.reduced import OutputDtype
from elman.models.recurrent import RecurrentLM
from elman.models.tokenized import TokenizedModel, order_of, reading_threads
from elman.text.reading import Errors
from elman.text.sources import Text


class TextModel(TokenizedModel):
    r"""A language model of text: the content of a model file. (Its fields are those of `TokenizedModel`.)

    Any number of threads may use a model at the same time, while it is not being trained.

    **Logarithms** returned by the methods are decimal, as KenLM's; surprisal and entropy are in bits.
    (``TextModel.model`` uses natural logarithms.) **Boundaries**: with ``bos``, a sentence is predicted from the
    beginning of a line; without it, from an empty past. With ``eos``, its end is predicted too, as one more token:
    `<eos>`, which KenLM calls `</s>`, or the newline of a model of characters or bytes; if the vocabulary has no such
    token, no end is predicted. Neither is part of the sentence; a newline within it ends a line. **Unknown** tokens
    are scored as `<unk>`; if the vocabulary has none, their probability is 0 (-inf), and the model does not read them.
    **Bytes**: a model of bytes reads files and ``bytes`` as they are, and a str as UTF-8; other models read text in
    Unicode NFC, and ``bytes`` as UTF-8.

    In the examples, ``model`` is this 2-gram model, as returned by `elman.load`:

    >>> from elman import NgramModel, TextModel, Vocabulary, make_tokenizer
    >>> tokenizer = make_tokenizer("word")
    >>> tokens = tokenizer.tokens("you say hello\nyou say goodbye\ni say hello\n")
    >>> vocabulary = Vocabulary(["you", "say", "hello", "goodbye", "i", "<eos>"], eos="<eos>")
    >>> ids = vocabulary.encode(tokens)
    >>> ngrams = NgramModel.train(ids, len(vocabulary), order=2, eos=vocabulary.eos_id)
    >>> model = TextModel(ngrams, tokenizer, vocabulary)
    >>> model
    TextModel(NgramModel(order 2, vocabulary 6, 15 n-grams), words)
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
        if not isinstance(text, (str, bytes)):
            return False
        tokens, _ = self.encode(text)
        return bool(tokens) and not self.is_unknown(tokens).any()

    def evaluate(
        self,
        text: Text,
        split: str = "test",
        *,
        encoding: str = "utf-8",
        errors: Errors = "strict",
        batch_size: int = 1,
    ) -> TextEvaluation:
        """Return the perplexity and the other measures of the model on a text.

        >>> found = model.evaluate(["you say hello", "i say goodbye"])
        >>> round(found.perplexity, 3), found.tokens
        (2.098, 8)

        Args:
            text: a file, a folder, the name of a corpus, a binary stream, or lines. It is read as one sequence.
            split: the part of a named corpus.
            encoding: of a file or a binary stream; a model of bytes reads it as it is.
            errors: what happens to a line that is not in the encoding: "strict" raises TextError, "replace" reads
                U+FFFD in place of the bytes, "skip" leaves the line out. A warning says how many there were.
            batch_size: parts that the text is cut into and read in parallel, each from a fresh state.

        Raises:
            TextError: the text cannot be read, or is empty.
        """
        return evaluate_text(self, text, split, encoding, batch_size, errors)

    def score_lines(
        self,
        text: Text | Any,
        *,
        column: str | None = None,
        per_token: bool = False,
        top: int | None = None,
        unit: Unit | None = None,
        normalize: Per | None = None,
        state: StateRule = "reset",
        encoding: str = "utf-8",
        errors: Errors = "strict",
    ) -> ScoreTable:
        """Return the log probability of every line of a text, each with its end: a table with a row per line.

        >>> model.score_lines(["you say hello", "say you hello"])
        ln_prob  log10_prob  perplexity  tokens  unknown           text
        -2.1245     -0.9227      1.7008       4        0  you say hello
        -8.3189     -3.6129      8.0023       4        0  say you hello

        Args:
            text: a file, a binary stream, or lines. With ``column``: a CSV, TSV or JSON Lines file, or a table such as
                a pandas DataFrame.
            column: the column of the lines; the others are kept in the result.
            per_token: return a row per token instead, with surprisal, rank and entropy (in bits unless ``unit``).
            top: return only this many lines, the least probable first, with their numbers.
            unit: of the log probabilities: "nats", "bits" or "log10"; None: nats and log10.
            normalize: divide them by the line's tokens ("token") or characters ("char"); "none", the default, except
                that with ``top`` it is "token".
            state: read each line alone ("reset"), or as the continuation of the one before ("carry").
            encoding: of a file or a binary stream; a model of bytes reads it as it is, cut after each newline.
            errors: what happens to a line that is not in the encoding: see `evaluate`.

        Raises:
            TextError: the text cannot be read.
            ConfigError: the arguments contradict one another, or the table lacks the column.
        """
        return ScoreTable(
            self.stream_scores(
                text,
                column=column,
                per_token=per_token,
                top=top,
                unit=unit,
                normalize=normalize,
                state=state,
                encoding=encoding,
                errors=errors,
            )
        )

    def stream_scores(self, text: Text | Any, **options: Any) -> ScoreStream:
        """Return an iterator over the rows of `score_lines`, with its options: memory does not grow with the text.

        >>> for row in model.stream_scores(["you say hello", "say you hello"]):
        ...     print(row.line, f"{row.log10_prob:.4f}")
        1 -0.9227
        2 -3.6129
        """
        return ScoreStream(self, text, **options)

    def score(self, sentence: str | bytes, bos: bool = True, eos: bool = True) -> float:
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
        return sentence_log10(self, sentence, bos, eos)

    def scores(self, sentences: Iterable[str | bytes]) -> NDArray[np.float64]:
        """Return log10 P of every sentence with its end, (n,): like `score`, but several times as fast for many.

        >>> candidates = ["you say hello", "you say goodbye", "say you hello"]
        >>> candidates[model.scores(candidates).argmax()]
        'you say hello'
        """
        return np.array([score.log10_prob for score in score_lines(self, sentences)], np.float64)

    def full_scores(self, sentence: str | bytes, bos: bool = True, eos: bool = True) -> Iterator[FullScore]:
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
        return full_scores(self, sentence, bos, eos)

    def perplexity(self, sentence: str | bytes) -> float:
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
        known = ids[ids >= 0].astype(np.intp)[None]
        if not known.size:
            return (-math.inf if len(ids) else 0.0), in_state
        with reading_threads(known.size, self.model):
            found, after = self.model.target_log_probs(known, in_state)
        log10_prob = float(found.sum(dtype=np.float64)) / math.log(10)
        return (log10_prob if known.size == len(ids) else -math.inf), after

    def next(self, text: str | bytes, top: int | None = 10, bos: bool = True) -> NextTokens:
        """Return the ``top`` most probable next tokens after a text; all tokens for None.

        >>> model.next("you say", top=2)
        token    probability
        hello         0.4667
        goodbye       0.2444

        Raises:
            ConfigError: ``top`` is below 1.
        """
        return next_tokens(self, text, top, bos)

    def next_distribution(
        self, text: str | bytes, top: int | None = 10, bos: bool = True
    ) -> list[tuple[str, float]]:
        """Return `next` as a list of pairs.

        >>> [(token, round(probability, 3)) for token, probability in model.next_distribution("you say", top=2)]
        [('hello', 0.467), ('goodbye', 0.244)]
        """
        return list(self.next(text, top, bos))

    def surprisal(
        self,
        text: Text | Any,
        *,
        column: str | None = None,
        context: Context = "sentence",
        per: PerWordOrToken = "word",
        bos: bool = True,
        eos: bool = True,
        case: Literal["auto"] | Case = AUTO,
        punctuation: Literal["auto"] | Punctuation = AUTO,
        encoding: str = "utf-8",
        errors: Errors = "strict",
    ) -> SurprisalTable:
        """Return the surprisal of every word of a text: a table with a row per word, and one per end of a sentence.

        >>> table = model.surprisal("you say  hello")
        >>> for word in table:
        ...     print(f"{word.word:5} {word.surprisal_bits:.3f} of {word.entropy_bits:.3f} bits, rank {word.rank}")
        you   1.100 of 2.091 bits, rank 1
        say   0.433 of 1.414 bits, rank 1
        hello 1.100 of 2.091 bits, rank 1
        <eos> 0.433 of 1.414 bits, rank 1
        >>> data = {"item": [7, 8], "text": ["you say", "i say"]}
        >>> model.surprisal(data, column="text", eos=False).to_dict()["item"]
        [7, 7, 8, 8]

        Args:
            text: a str is one text, and its lines are sentences. A Path or a binary stream holds a sentence in each
                line; any other iterable (a list, a column of a table) gives one sentence at a time. With ``column``:
                a CSV, TSV or JSON Lines file, or a table such as a pandas DataFrame.
            column: the column of the sentences; the others are repeated in each row of the result.
            context: what a word is predicted from: its own sentence, or also all sentences before it ("document").
            per: whether there is a row for each word between spaces, or for each token.
            bos: predict a sentence from the beginning of a line, not from an empty past.
            eos: predict its end, too.
            case, punctuation: how sentences are spelled before the model reads them, as in `elman.pairs`. "auto"
                follows the vocabulary of a model of words; other models read sentences as they are.
            encoding: of a file or a binary stream.
            errors: what happens to a line that is not in the encoding: see `evaluate`.

        ``start`` and ``end`` are places in the sentence as given: ``sentence[start:end]`` is the word. The surprisal
        of a word that is read as several tokens, such as ``table.`` as ``table`` and ``.``, is the sum of theirs; with
        ``per="token"`` each has its row.

        Raises:
            TextError: the file cannot be read.
            ConfigError: the table lacks the column, or has one with the name of a column of the result.
        """
        sentences = read_sentences(text, column, encoding, errors, self.tokenizer)
        return surprisal_table(self, sentences, context, per, bos, eos, case, punctuation)

    def generate(
        self,
        prompt: str | bytes = "",
        length: int = 100,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        greedy: bool = False,
        unk: bool = False,
        seed: int | None = None,
    ) -> str:
        r"""Return a prompt and the text that the model writes after it, ``length`` sampled tokens.

        >>> model.generate("you", 6, greedy=True)
        'you say hello\nyou say hello'

        Args:
            prompt: the text to continue; words that the vocabulary lacks are logged as a warning.
            length: number of tokens to sample.
            temperature, top_k, top_p: see `elman.Sampler`.
            greedy: always take the most probable token, as with temperature 0.
            unk: allow `<unk>` to be sampled.
            seed: of the random numbers; None: another text every time.

        Raises:
            ConfigError: a value is out of range.
        """
        stream = self.stream(
            prompt,
            length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            greedy=greedy,
            unk=unk,
            seed=seed,
        )
        return "".join(stream)

    def stream(
        self,
        prompt: str | bytes = "",
        length: int = 100,
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        greedy: bool = False,
        unk: bool = False,
        seed: int | None = None,
    ) -> TextStream:
        """Return the text of `generate` part by part, as an iterator: the prompt, then what each token adds.

        >>> list(model.stream("you", 2, greedy=True))
        ['you', ' say', ' hello', '']
        """
        if length < 0:
            raise ConfigError(f"`length` must be ≥ 0, got {length}")
        unk_id = self.vocabulary.unk_id
        exclude = () if unk or unk_id is None else (unk_id,)
        sampler = Sampler(0.0 if greedy else temperature, top_k, top_p, exclude)
        return TextStream(self, prompt, length, sampler, np.random.default_rng(seed))

    def with_cache(
        self,
        cache: int | None = None,
        neural_cache: int | None = None,
        theta: float | None = None,
        cache_weight: float | None = None,
    ) -> Self:
        """Return the model with a cache: words that occurred recently become more probable.

        >>> cached = model.with_cache(cache=100)
        >>> round(cached.score("goodbye goodbye"), 3), round(model.score("goodbye goodbye"), 3)
        (-2.632, -2.821)

        Args:
            cache: mix in the frequencies among this many last words (`elman.CachedModel`).
            neural_cache: mix in this many last words, weighted by how similar the hidden state before each is to the
                current one (`elman.NeuralCache`); for recurrent models, and in a mixture for its recurrent members.
            theta: sharpness of the neural cache; 0.3 by default.
            cache_weight: weight of the cache in the mixture, from 0 to 1; 0.1 by default.

        Raises:
            ConfigError: the arguments contradict one another or do not fit the model.
        """
        return with_cache(self, cache, neural_cache, theta, cache_weight)

    def dynamic(
        self,
        *,
        lr: float | None = None,
        decay: float | None = None,
        block: int = DYNAMIC_BLOCK,
        step: Step = "scaled",
        text: Text | None = None,
        encoding: str = "utf-8",
    ) -> Self:
        """Return the model with dynamic evaluation: it trains on each block of a text after predicting it.

        This model does not change. In a mixture, each recurrent or window member learns for itself.

        >>> elman.load("runs/lstm").dynamic().evaluate("test.txt")  # doctest: +SKIP

        Args:
            lr: learning rate; 0.003 by default, for plain steps 0.3.
            decay: how far each step also moves back to the trained weights; 0.01 by default, for plain steps 0.
            block: tokens per step.
            step: "scaled": gradients divided by the root of their mean squares; "plain": gradients, clipped to norm 1.
            text: the text to compute the mean squares on; None: the model's training text.
            encoding: of that text.

        Raises:
            ConfigError: the arguments contradict one another or do not fit the model.
        """
        return with_dynamic(self, lr=lr, decay=decay, block=block, step=step, text=text, encoding=encoding)

    def save(self, path: str | PathLike[str], overwrite: bool = False) -> None:
        """Save the model: in one file if the name ends in ``.safetensors``, otherwise in a run folder.

        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> model.save(f"{folder}/small.safetensors")
        >>> from elman import load
        >>> load(f"{folder}/small.safetensors").order
        2

        Raises:
            RunError: there is a file or a run already, and ``overwrite`` is not set.
            ModelFileError: the folder cannot be written or the disk is full.
        """
        path = Path(path)
        if path.suffix != ".safetensors":
            save_run(path, self, overwrite)
            return
        if path.exists() and not overwrite:
            raise RunError(f"{path} exists already; replace it with `overwrite=True`, or choose another name")
        save_model(path, self)

    def export(
        self, path: str | PathLike[str], to: FormatName | None = None, form: Form | None = None
    ) -> None:
        """Write the model, or its tokenizer, in the format of another program.

        >>> import tempfile
        >>> model.export(f"{tempfile.mkdtemp()}/small.arpa")

        Args:
            path: the file to write.
            to: "arpa" (.arpa), "torch" (.safetensors), "onnx" (.onnx) or "tokenizer" (.json); None: by the suffix.
            form: for ONNX, see `to_onnx`.

        Raises:
            ConfigError: the suffix is not that of the format.
            ModelFileError: the format cannot hold the model, or the file cannot be written.
        """
        export(self, Path(path), to, form)

    def to_arpa(self, path: str | PathLike[str]) -> None:
        """Write an n-gram model of words as an ARPA file, for KenLM, SRILM and others.

        >>> import tempfile
        >>> model.to_arpa(f"{tempfile.mkdtemp()}/small.arpa")
        """
        writer("arpa")(Path(path), self)

    def to_torch(self, path: str | PathLike[str]) -> None:
        """Write a recurrent model as a state dict of PyTorch, in safetensors, with the vocabulary as metadata.

        >>> elman.load("runs/lstm").to_torch("lstm.safetensors")  # doctest: +SKIP
        """
        writer("torch")(Path(path), self)

    def to_onnx(self, path: str | PathLike[str], form: Form = "sequence") -> None:
        """Write a recurrent model as an ONNX file, which reads sequences of T tokens or, as "step", single tokens.

        >>> elman.load("runs/lstm").to_onnx("lstm.onnx")  # doctest: +SKIP
        """
        writer("onnx")(Path(path), self, form)

    def to_tokenizer(self, path: str | PathLike[str]) -> None:
        """Write the tokenizer of a subword model as a tokenizer.json, for Hugging Face's tokenizers.

        >>> elman.load("runs/subwords").to_tokenizer("tokenizer.json")  # doctest: +SKIP
        """
        writer("tokenizer")(Path(path), self)


def load(
    path: str | PathLike[str],
    backend: Backend | Library = "numpy",
    device: str = "cpu",
    *,
    verify: bool = True,
    encoding: str = "utf-8",
    output_dtype: OutputDtype = "float32",
) -> TextModel:
    """Load a model from a file, or from a run folder: its best model so far or, before there is one, the last.

    The content decides, not the name: a model file of elman, or an ARPA file (compressed or not) of any program. Any
    model can be loaded on any backend ("numpy" or "torch", and a device for torch), whichever it was trained on.

    Args:
        path: the file or the run folder.
        backend, device: where the weights are put.
        verify: compare a model file with the SHA-256 stored in it, which takes about 0.1 s per 100 MB.
        encoding: of an ARPA file.
        output_dtype: "bfloat16" or "int8" rounds the output weights of a recurrent model, so that reading one word at
            a time takes less time where the vocabulary is large (see `RecurrentLM.reduce_output`). The file stays as
            it is.

    Raises:
        ModelFileError: the file is missing, truncated, damaged, of another program, or of an unknown kind; or it has
            weights that are not finite.
        ConfigError: there is no such backend or device, or ``output_dtype`` does not apply to the model.
        MissingExtra: the tokenizer or the backend needs a library that is not installed.
    """
    chosen = Backend.named(backend, device)
    path = model_file(Path(path))
    arpa = is_arpa(path, encoding)
    found = text_model_of(read_arpa(path, encoding) if arpa else read_model(path, chosen, verify))
    if output_dtype != "float32":
        if not isinstance(found.model, RecurrentLM):
            raise ConfigError(
                f"{path}: only the output weights of a recurrent network can be rounded; use `output_dtype='float32'`"
            )
        found.model.reduce_output(output_dtype)
    return found


def is_model(path: str | PathLike[str]) -> bool:
    """Return whether `load` would take a path for a model: a folder, or a file that is one by its content."""
    path = Path(path)
    if path.is_dir() or not path.is_file():
        return path.is_dir()
    return is_arpa(path) or is_safetensors(path)


def text_model_of(found: TokenizedModel) -> TextModel:
    """Return the content of a model file as a `TextModel`."""
    return TextModel(found.model, found.tokenizer, found.vocabulary, found.info, found.start)


Model: TypeAlias = (
    TextModel | str | PathLike[str]
)  # an argument: a model, or the path of its file or run folder
Models: TypeAlias = Model | Iterable[Model] | Mapping[str, Model]


def as_model(model: Model) -> TextModel:
    """Return a model argument as a model, loaded if it is a path. Raises ConfigError for anything else."""
    if isinstance(model, TextModel):
        return model
    if not isinstance(model, (str, PathLike)):
        raise ConfigError(f"a model must be a TextModel or a path, got {model!r}")
    return load(Path(model))


def by_name(models: Models) -> dict[str, Model]:
    """Return model arguments by name: that of a mapping, else the path, or "model 1" and so on.

    >>> from elman.text_model import by_name
    >>> list(by_name(["runs/lstm", model]))
    ['runs/lstm', 'model 2']

    Raises:
        ConfigError: a path is given twice.
    """
    if isinstance(models, Mapping):
        return dict(models)
    given = [models] if isinstance(models, (TextModel, str, PathLike)) else list(models)
    names = [
        f"model {number}" if isinstance(model, TextModel) else str(model)
        for number, model in enumerate(given, 1)
    ]
    if len(set(names)) < len(names):
        raise ConfigError(f"{max(names, key=names.count)} is given twice; name different models")
    return dict(zip(names, given, strict=True))
