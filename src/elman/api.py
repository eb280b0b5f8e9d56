"""What commands call, where models may be given as paths: thin functions over the packages below."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from elman.errors import ConfigError, MissingExtra
from elman.evaluation.minimal_pairs import Normalisation, Pair, read_pairs, score_pairs
from elman.evaluation.novelty_report import NoveltyReport, novelty_report
from elman.evaluation.pairs_table import PairsResult
from elman.evaluation.spelling import CASES, PUNCTUATIONS, Case, Punctuation, spelling_for
from elman.text.corpus import Corpus
from elman.text.sources import Text, encoded, read_lines, temporary_folder, text_name
from elman.text_model import Model, Models, TextModel, as_model, by_name
from elman.training.origin import training_text

if TYPE_CHECKING:
    from elman.serving.server import Serving

AUTO: Literal["auto"] = "auto"
PathLike = str | os.PathLike[str]


def pairs(
    models: Models,
    files: Text | Sequence[Text] | Iterable[tuple[str, str]],
    by: str | None = None,
    case: Literal["auto"] | Case = AUTO,
    punctuation: Literal["auto"] | Punctuation = AUTO,
    normalize: Normalisation = "none",
    *,
    encoding: str = "utf-8",
) -> PairsResult:
    """Test which sentence of each minimal pair models prefer.

    A pair is right if P(right sentence) > P(wrong sentence), each with its end of line. A tie is wrong. Unknown words
    are scored as `<unk>`, or have probability 0 if the vocabulary has none.

    Args:
        models: one or several models or paths, or a mapping from names to them.
        files: a file of pairs or several, as read by `read_pairs` (BLiMP's JSON Lines, or two columns); or pairs in
            memory: (right sentence, wrong sentence).
        by: the JSON field that names the set of a pair; by default ``UID``.
        case: "lower" or "upper" convert sentences, "asis" leaves them; "auto" follows the words of the vocabulary.
        punctuation: "split" separates punctuation from words that are not in the vocabulary, "asis" does not; "auto"
            splits if no word of the vocabulary has punctuation.
        normalize: "none" compares ln P of whole sentences, "token" ln P per token.
        encoding: of the files.

    Raises:
        ConfigError: an argument is not one of its values.
        TextError: a file cannot be read, or a line is not a pair.
    """
    for name, value, allowed in (
        ("case", case, (AUTO, *CASES)),
        ("punctuation", punctuation, (AUTO, *PUNCTUATIONS)),
        ("normalize", normalize, ("none", "token")),
    ):
        if value not in allowed:
            raise ConfigError(f"`{name}` must be one of {', '.join(allowed)}; got {value!r}")
    loaded = {name: as_model(model) for name, model in by_name(models).items()}
    spellings = {
        name: spelling_for(
            model, None if case == "auto" else case, None if punctuation == "auto" else punctuation
        )
        for name, model in loaded.items()
    }
    wanted = _pairs_of(files, by, encoding)
    scores = {name: list(score_pairs(loaded[name], wanted, spellings[name], normalize)) for name in loaded}
    return PairsResult(scores, spellings, normalize)


def _pairs_of(
    files: Text | Sequence[Text] | Iterable[tuple[str, str]], by: str | None, encoding: str
) -> list[Pair]:
    """Return the pairs of a file, of several, or in memory."""
    if isinstance(files, (str, os.PathLike)) or hasattr(files, "read"):
        given: list[Any] = [files]
    else:
        given = list(files)
    found: list[Pair] = []
    for number, each in enumerate(given, 1):
        if isinstance(each, tuple):
            good, bad = each
            found.append(Pair(good, bad, "pairs", number))
        else:
            found += read_pairs(read_lines(each, encoding), text_name(each), by)
    return found


def novelty(
    model: Model, text: str, novelty_text: Text | None = None, *, encoding: str = "utf-8"
) -> NoveltyReport:
    """Report how much of a generated text is copied from the model's training text.

    The report has the longest part that appears verbatim in the training text, the line where it begins there, and the
    fractions of n-grams that are new.

    Args:
        model: a model or its path; its vocabulary splits the text into tokens.
        text: the generated text itself.
        novelty_text: another text to compare with: a file, a folder, a named corpus, a stream or lines.
        encoding: of ``novelty_text``.

    Raises:
        TextError: the training text is not known, cannot be read, or has changed; give ``novelty_text``.
    """
    text_model = as_model(model)
    with compared_text(model, text_model, novelty_text, encoding) as (name, corpus):
        return novelty_report(text_model, text_model.encode(text)[1].tolist(), name, corpus)


@contextlib.contextmanager
def compared_text(
    model: Model, text_model: TextModel, novelty_text: Text | None, encoding: str
) -> Iterator[tuple[str, Corpus]]:
    """Yield the name and ids of a text, or of the model's training text where it is None.

    ``model`` is what ``text_model`` was loaded from, or itself.
    """
    if novelty_text is not None:
        with encoded(novelty_text, text_model.tokenizer, text_model.vocabulary, "train", encoding) as corpus:
            yield text_name(novelty_text), corpus
    else:
        with temporary_folder() as folder:
            run = None if isinstance(model, TextModel) else Path(model)
            corpus = training_text(run, text_model, folder)
            yield str(text_model.info.get("corpus", corpus.sources[0])), corpus


def serve(
    models: Models,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    watch: PathLike | Sequence[PathLike] = (),
    api_key: str | None = None,
    width: int | None = None,
    max_seconds: float = 300.0,
    max_tokens: int = 16_384,
    max_streams: int = 64,
    block: bool = True,
) -> "Serving | None":
    """Serve models over HTTP, with the OpenAI API and a web page.

    Args:
        models: one or several models or paths, or a mapping from names to them; the first is the default of requests
            that name none. A path has the name of its folder, a model in memory "model".
        host: address to listen on; "0.0.0.0" for all addresses.
        port: port to listen on; 0 for any free one.
        watch: runs whose training can be followed while it continues.
        api_key: key that clients must send.
        width: sequences per step of the model, from 1 to 64; 1 is fastest for a single client. By default, a test at
            the start finds the largest width (8 at most) with reproducible results.
        max_seconds: time limit of a request.
        max_tokens: limit for the tokens of a prompt, and of a completion.
        max_streams: limit for simultaneous streams.
        block: serve until Ctrl-C, SIGTERM, or the stop button of a notebook; then finish the open requests. Otherwise
            return a running server, which has a ``url`` and a method ``stop``.

    Raises:
        ConfigError: there is no model, two have the same name, an argument is out of range, or the port is in use.
        MissingExtra: the extra `serve` is not installed.
    """
    try:
        from elman.serving.running import run
        from elman.serving.schemas import Limits
    except ImportError as error:
        raise MissingExtra(error.name or "starlette", "serve") from error

    for name, value, least, most in (
        ("port", port, 0, 65535),
        ("width", 1 if width is None else width, 1, 64),
        ("max_seconds", max_seconds, 1, float("inf")),
        ("max_tokens", max_tokens, 1, float("inf")),
        ("max_streams", max_streams, 1, float("inf")),
    ):
        if not least <= value <= most:
            raise ConfigError(f"`{name}` must be from {least} to {most}, got {value}")
    limits = Limits(seconds=max_seconds, prompt_tokens=max_tokens, max_tokens=max_tokens, streams=max_streams)
    watched = [watch] if isinstance(watch, (str, os.PathLike)) else watch
    return run(models, host, port, list(map(Path, watched)), api_key, width, limits, block)
