"""The options of a training run: name, type, range, default and meaning of each."""

import difflib
import math
import re
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from elman.errors import ConfigError
from elman.models.clusters import default_cutoffs
from elman.parsing import parsing

AUTO = "auto"
MIN_SUBWORDS = 257  # the 256 bytes and the end of a line
MAX_WIDTH = 1_000_000  # a larger number is a typing error: NumPy could not allocate such a matrix


def at_least_one(description: str) -> Meta:
    """An integer ≥ 1."""
    return Meta(ge=1, description=description)


def zero_or_more(description: str) -> Meta:
    """A number ≥ 0; 0 mostly means no limit, or none at all."""
    return Meta(ge=0, description=description)


def width(description: str, least: int = 1) -> Meta:
    """A size of vectors."""
    return Meta(ge=least, le=MAX_WIDTH, description=description)


def dropout_rate(description: str) -> Meta:
    """A fraction to drop, in [0, 1)."""
    return Meta(ge=0, lt=1, description=description)


def dropout_rate_or_default(description: str) -> Meta:
    """A fraction to drop at one place, in [0, 1), or -1: the rate of ``dropout``."""
    title = "a number ≥ 0 and < 1, or -1 for the value of dropout"
    return Meta(ge=-1, lt=1, title=title, description=f"{description}; -1: as `dropout`")


def described(description: str) -> Meta:
    """A text, a choice or a switch: its type alone says which values are valid."""
    return Meta(description=description)


_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Config(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of a training run; the command line overrides the recipe, and the recipe these defaults."""

    about: Annotated[str, described("what the recipe is for")] = ""

    level: Annotated[
        Literal["word", "char", "jamo", "byte", "subword"],
        described("what a token is; jamo are the letters of Hangul syllables"),
    ] = "word"
    subwords: Annotated[
        Literal["bpe", "unigram"],
        described("how subwords are learnt from the training text (`level='subword'`)"),
    ] = "bpe"
    vocab_size: Annotated[
        int,
        Meta(
            ge=MIN_SUBWORDS,
            le=MAX_WIDTH,
            description="the most subwords to learn, including the 256 bytes and <eos> (`level='subword'`)",
        ),
    ] = 8000
    tokenizer: Annotated[
        str, described("use this tokenizer.json instead of learning subwords (`level='subword'`)")
    ] = ""
    lower: Annotated[bool, described("convert the text to lower case")] = False
    encoding: Annotated[str, described("the text's encoding")] = "utf-8"
    errors: Annotated[
        Literal["strict", "replace", "skip"],
        described(
            "a line that is not in the encoding: strict: stop; replace: read U+FFFD in place of its bytes; skip: leave "
            "it out"
        ),
    ] = "strict"
    vocab_order: Annotated[
        Literal["appearance", "frequency"],
        described("number the vocabulary by first appearance or by frequency"),
    ] = "appearance"
    max_vocab: Annotated[int, zero_or_more("keep only this many tokens, the rest becomes <unk>; 0: all")] = 0
    min_count: Annotated[int, at_least_one("tokens that occur less often become <unk>")] = 1
    open_vocabulary: Annotated[
        bool,
        described(
            "include <unk> even if no token of the text becomes it: new tokens then have a probability"
        ),
    ] = False
    max_tokens: Annotated[int, zero_or_more("train on the first this many tokens only; 0: all")] = 0

    model: Annotated[
        Literal["rnn", "ngram", "cbow", "nplm"],
        described(
            "a recurrent network (see `cell`), counted n-grams, or a network with a fixed window of words: their "
            "mean (cbow), or their concatenation and a hidden layer (nplm)"
        ),
    ] = "rnn"
    order: Annotated[
        int,
        Meta(
            ge=1,
            le=6,
            title="an integer from 1 to 6 (for the order of the vocabulary use vocab_order)",
            description="length of the longest n-gram (`model='ngram'`)",
        ),
    ] = 5
    smoothing: Annotated[
        Literal["kneser-ney", "witten-bell"],
        described("smoothing of the n-gram counts (`model='ngram'`); kneser-ney: modified, interpolated"),
    ] = "kneser-ney"

    window: Annotated[
        int,
        Meta(ge=1, le=1000, description="words that the next one is predicted from (`model='cbow'` or nplm)"),
    ] = 5

    cell: Annotated[
        Literal[
            "rnn",
            "lstm",
            "gru",
            "mingru",
            "minlstm",
            "fpool",
            "qrnn",
            "sru",
            "rglru",
            "mogrifier",
            "rwkv4",
            "rwkv7",
            "mamba",
            "mamba2",
        ],
        described(
            "recurrent layer; rnn is Elman's, those from mingru to rglru are elementwise, which is faster; rwkv4, "
            "rwkv7, mamba and mamba2 are residual blocks by themselves, of width `wordvec` (rwkv4 and rwkv7 without "
            "`hidden`)"
        ),
    ] = "rnn"
    wordvec: Annotated[int, width("width of the word vectors; 0: one-hot input", 0)] = 100
    hidden: Annotated[int, width("width of the hidden state")] = 100
    layers: Annotated[int, Meta(ge=1, le=100, description="number of recurrent layers")] = 1
    block: Annotated[
        Literal["plain", "residual"],
        described(
            "how layers are stacked; residual: normalised, gated and added to their input, all of width `wordvec`"
        ),
    ] = "plain"
    mlp: Annotated[
        int, width("width of a gated MLP after each recurrence (`block='residual'`); 0: none", 0)
    ] = 0
    dropout: Annotated[
        float, dropout_rate("fraction of the units dropped before, between and after the layers")
    ] = 0.0
    dropout_mask: Annotated[
        Literal["step", "block"], described("draw the dropped units for every step, or once for a block")
    ] = "step"
    input_dropout: Annotated[float, dropout_rate_or_default("fraction dropped of the word vectors")] = -1.0
    output_dropout: Annotated[
        float, dropout_rate_or_default("fraction dropped of the output layer's input")
    ] = -1.0
    embedding_dropout: Annotated[float, dropout_rate("fraction of the words dropped for a whole block")] = 0.0
    recurrent_dropout: Annotated[
        float,
        dropout_rate("fraction dropped of the hidden-to-hidden weights, for a whole block (DropConnect)"),
    ] = 0.0
    activation_penalty: Annotated[
        float,
        zero_or_more("add to the loss this times the mean square of the last layer's output, after dropout"),
    ] = 0.0
    temporal_penalty: Annotated[
        float,
        zero_or_more(
            "add to the loss this times the mean square of that output's change from step to step, before dropout"
        ),
    ] = 0.0
    tie_weights: Annotated[bool, described("use the word vectors as the output matrix too")] = False
    softmax: Annotated[
        Literal["full", "adaptive", "sampled"],
        described(
            "over all words; by clusters of frequency, for large vocabularies; or, while training, over a "
            "sample of the words (perplexities of the training text are then too low)"
        ),
    ] = "full"
    candidates: Annotated[
        int, at_least_one("sampled words per block, besides its targets (`softmax='sampled'`)")
    ] = 4000
    cutoffs: Annotated[
        str,
        Meta(
            pattern=rf"^({AUTO}|[1-9]\d*(,[1-9]\d*)*)$",
            title=f"{AUTO}, or increasing numbers such as 2000,20000",
            description="frequency ranks at which the tail clusters of the adaptive softmax begin, such as "
            f"2000,20000; {AUTO}: V/64, V/16 and V/4",
        ),
    ] = AUTO
    init: Annotated[
        Literal["normal", "uniform", "orthogonal", "identity"],
        described(
            "how initial weights are drawn: N(0,1) or U(-1,1) times `weight_scale`; or normal, except that the "
            "hidden-to-hidden matrices are orthogonal or, with `cell='rnn'`, the identity"
        ),
    ] = "normal"
    weight_scale: Annotated[
        float, zero_or_more("initial weights are this times N(0,1); 0: N(0,1)/√(inputs)")
    ] = 0.0
    embedding_scale: Annotated[
        float, Meta(gt=0, description="initial word vectors are this times N(0,1)")
    ] = 0.01

    batch_size: Annotated[int, at_least_one("sequences in a batch")] = 20
    time_size: Annotated[
        int, at_least_one("time steps of a block, through which the gradient flows back (truncated BPTT)")
    ] = 35
    wrap: Annotated[
        Literal["circle", "restart"],
        described(
            "at the end of the text: continue at its beginning, or restart there with a zero state (batch size 1)"
        ),
    ] = "circle"
    fresh_lines: Annotated[
        bool,
        described("reset the state of a sequence whose block begins at the end of a line, as scoring does"),
    ] = True
    reduction: Annotated[
        Literal["mean", "sum"], described("take the gradient of a block's mean loss, or of its sum")
    ] = "mean"
    accumulate: Annotated[
        int, at_least_one("blocks whose gradients are summed before an update of the weights")
    ] = 1
    optimizer: Annotated[
        Literal["sgd", "momentum", "adagrad", "rmsprop", "adam"], described("the update rule")
    ] = "adam"
    lr: Annotated[float, Meta(gt=0, description="learning rate")] = 0.002
    schedule: Annotated[
        Literal["constant", "plateau", "cosine"],
        described(
            "learning rate over time: constant, divided by 4 after an epoch without improvement, or half a cosine"
        ),
    ] = "constant"
    weight_decay: Annotated[
        float,
        zero_or_more(
            "decoupled weight decay: every update subtracts lr times this from each matrix (not biases); 0: none"
        ),
    ] = 0.0
    averaging: Annotated[
        Literal["none", "triggered", "tail"],
        described(
            "validate and save the mean of the weights over many updates: once the perplexity stops falling, "
            "or over the last part of training"
        ),
    ] = "none"
    averaging_patience: Annotated[
        int,
        at_least_one(
            "begin when an epoch is worse than the best epoch before the last this many (`averaging='triggered'`)"
        ),
    ] = 5
    averaging_share: Annotated[
        float,
        Meta(gt=0, le=1, description="the last fraction of training to average over (`averaging='tail'`)"),
    ] = 0.25
    clip_norm: Annotated[float, zero_or_more("clip the gradient to this global norm; 0: no clipping")] = 1.0
    clip_value: Annotated[float, zero_or_more("clip every gradient entry to ± this; 0: no clipping")] = 0.0
    epochs: Annotated[int, at_least_one("passes over the text")] = 10
    iterations: Annotated[int, zero_or_more("stop after this many blocks; 0: no limit")] = 0
    time_budget: Annotated[
        float, zero_or_more("stop after this much training time, such as 90s, 10m, 2h; 0: no limit")
    ] = 0.0
    patience: Annotated[
        int, zero_or_more("stop after this many epochs without a better perplexity; 0: never")
    ] = 0
    seed: Annotated[int, Meta(ge=0, description="seed of weights, dropout and samples")] = 0

    backend: Annotated[Literal["numpy", "torch"], described("array library: NumPy, or PyTorch's tensors")] = (
        "numpy"
    )
    precision: Annotated[
        Literal["float32", "bf16"],
        described("precision of the matrix products while training; bf16 needs `backend='torch'`"),
    ] = "float32"
    device: Annotated[
        Literal["cpu", "cuda"], described("device of the tensors; cuda (a GPU) needs `backend='torch'`")
    ] = "cpu"

    report_every: Annotated[int, zero_or_more("blocks between two points of the training curve; 0: 100")] = 0
    sample_every: Annotated[
        int, zero_or_more("blocks between two samples of generated text on the terminal; 0: none")
    ] = 0
    sample_length: Annotated[int, at_least_one("tokens of a sample")] = 100
    checkpoint_every: Annotated[float, Meta(gt=0, description="seconds between two checkpoints")] = 30.0

    @classmethod
    def of(cls, values: dict[str, Any], where: str) -> "Config":
        """Return the configuration of plain ``values``, checked; ``where`` they come from begins the errors.

        Raises:
            ConfigError: an option is unknown, of the wrong type or out of range.
        """
        values = {
            name: in_seconds(value) if name == "time_budget" else value for name, value in values.items()
        }
        for name, value in values.items():
            if name not in cls.__struct_fields__:
                close = difflib.get_close_matches(name, cls.__struct_fields__, 1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise ConfigError(f"{where}: unknown option {name!r}{hint}")
            try:
                check(name, value)
            except ConfigError as error:
                raise ConfigError(f"{where}: {name} {error}") from error
        return msgspec.convert(values, cls)

    def to_dict(self) -> dict[str, Any]:
        """Return all options as plain data, in the order above."""
        return msgspec.structs.asdict(self)

    def adaptive(self, vocab_size: int) -> tuple[int, ...] | None:
        """Return the cutoffs of the adaptive softmax over V tokens; None for any other softmax.

        Raises:
            ConfigError: cutoffs are given for another softmax.
        """
        if self.softmax != "adaptive":
            if self.cutoffs != AUTO:
                raise ConfigError(
                    f"`cutoffs` applies only to `softmax='adaptive'`, but softmax is {self.softmax!r} and cutoffs "
                    f"{self.cutoffs!r}; leave it out, or set `softmax='adaptive'`"
                )
            return None
        if self.cutoffs == AUTO:
            return default_cutoffs(vocab_size)
        return tuple(map(int, self.cutoffs.split(",")))


def check(name: str, value: Any, strict: bool = True) -> Any:
    """Return the value of an option, checked; without ``strict`` a string is converted to the option's type.

    Raises:
        ConfigError: the value is invalid: "must be …, got …".
    """
    try:
        checked = msgspec.convert(value, kinds()[name], strict=strict)
        if isinstance(checked, float) and not math.isfinite(checked):
            raise ValueError("not a finite number")
    except ValueError as error:
        raise ConfigError(f"must be {expected(name)}, got {value!r}") from error
    return checked


def in_seconds(time: Any) -> Any:
    """Return a time such as "90s", "10m", "2h" or "1d" in seconds; anything that is no string as it is.

    Raises:
        ConfigError: the string is not a time.
    """
    if not isinstance(time, str):
        return time
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", time.strip())
    if match is None:
        raise ConfigError(f"{time!r} is not a time; write 90s, 10m or 2h")
    return float(match[1]) * _SECONDS[match[2]]


@cache
def kinds() -> dict[str, Any]:
    """Return the annotated type of every option."""
    return get_type_hints(Config, include_extras=True)


def expected(name: str) -> str:
    """Return the valid values of an option in words, such as "an integer ≥ 1"."""
    kind, meta = get_args(kinds()[name])
    if meta.title is not None:
        return str(meta.title)
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    words = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}[kind]
    bounds = ((meta.ge, "≥"), (meta.gt, ">"), (meta.le, "≤"), (meta.lt, "<"))
    limits = [f"{sign} {value:,}" for value, sign in bounds if value is not None]
    return " ".join([words, " and ".join(limits)]).strip()


def write_toml(values: dict[str, Any]) -> str:
    """Return plain data as TOML. Raises ConfigError for a name of a file that is not UTF-8, which TOML cannot hold."""
    import tomli_w

    text = tomli_w.dumps(values)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line = text[text.rfind("\n", 0, error.start) + 1 :].partition("\n")[0]
        raise ConfigError(
            f"a run cannot record a name that is not UTF-8: {line!a}; rename the file or folder, or give the "
            "text itself: an open binary file, or standard input"
        ) from error
    return text


def read_toml(text: str, where: str) -> dict[str, Any]:
    """Return the plain data of a TOML text. Raises ConfigError where it is not valid TOML."""
    import tomllib

    with parsing(where, ConfigError, "is not valid TOML"):
        return tomllib.loads(text)
