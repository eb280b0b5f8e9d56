"""What a training is made of: every option, its default and its meaning, checked once."""

import difflib
import math
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from elman.errors import ConfigError
from elman.models.clusters import default_cutoffs

AUTO = "auto"
LEAST = 257  # subwords: the 256 bytes and the end of a line
WIDEST = 1_000_000  # whoever asks for more has mistyped; NumPy cannot even name such a matrix's size


def count(description: str) -> Meta:
    """Describe a whole number from 1 up."""
    return Meta(ge=1, description=description)


def limit(description: str) -> Meta:
    """Describe a number from 0 up, where 0 means no limit, or none at all."""
    return Meta(ge=0, description=description)


def width(description: str, least: int = 1) -> Meta:
    """Describe a size of vectors."""
    return Meta(ge=least, le=WIDEST, description=description)


def share(description: str) -> Meta:
    """Describe a share that is dropped."""
    return Meta(ge=0, lt=1, description=description)


def own_share(description: str) -> Meta:
    """Describe a share that is dropped at one place, where that may be as elsewhere."""
    title = "a number at least 0 and below 1, or -1: as --dropout"
    return Meta(ge=-1, lt=1, title=title, description=f"{description}; -1: as --dropout")


def choice(description: str) -> Meta:
    """Describe a word or a switch."""
    return Meta(description=description)


class Config(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The options of `elman train`. Command line wins over recipe, recipe over these defaults."""

    about: Annotated[str, choice("what the recipe is for")] = ""

    level: Annotated[Literal["word", "char", "byte", "subword"], choice("what a token is")] = "word"
    subwords: Annotated[
        Literal["bpe", "unigram"],
        choice("how subwords are learnt from the training text (--level subword)"),
    ] = "bpe"
    vocab_size: Annotated[
        int,
        Meta(
            ge=LEAST,
            le=WIDEST,
            description="subwords to learn at most, the 256 bytes and <eos> among them (--level subword)",
        ),
    ] = 8000
    tokenizer: Annotated[
        str, choice("a tokenizer.json to take instead of learning subwords (--level subword)")
    ] = ""
    lower: Annotated[bool, choice("make all letters small")] = False
    encoding: Annotated[str, choice("the text's encoding")] = "utf-8"
    vocab_order: Annotated[
        Literal["appearance", "frequency"],
        choice("number the vocabulary by first appearance or by frequency"),
    ] = "appearance"
    max_vocab: Annotated[int, limit("keep only so many tokens, the rest becomes <unk>; 0: all")] = 0
    min_count: Annotated[int, count("tokens seen less often become <unk>")] = 1
    max_tokens: Annotated[int, limit("learn from the first so many tokens only; 0: all")] = 0

    model: Annotated[
        Literal["rnn", "ngram", "cbow", "nplm"],
        choice(
            "a recurrent network (see --cell), counted n-grams, or a network that sees a window of words: their "
            "mean (cbow), or one behind another before a hidden layer (nplm)"
        ),
    ] = "rnn"
    order: Annotated[
        int,
        Meta(
            ge=1,
            le=6,
            title="a whole number from 1 to 6 (the order of the vocabulary is --vocab-order)",
            description="tokens of the longest n-gram (--model ngram)",
        ),
    ] = 5
    smoothing: Annotated[
        Literal["kneser-ney", "witten-bell"],
        choice("what n-grams that were not seen get (--model ngram); kneser-ney: modified, interpolated"),
    ] = "kneser-ney"

    window: Annotated[
        int,
        Meta(ge=1, le=1000, description="words that the next is predicted from (--model cbow or nplm)"),
    ] = 5

    cell: Annotated[Literal["rnn", "lstm", "gru"], choice("the recurrent layer; rnn is Elman's")] = "rnn"
    wordvec: Annotated[int, width("width of the word vectors; 0: one-hot input", 0)] = 100
    hidden: Annotated[int, width("width of the hidden state")] = 100
    layers: Annotated[int, Meta(ge=1, le=100, description="recurrent layers, one on another")] = 1
    dropout: Annotated[float, share("share of units dropped before, between and after the layers")] = 0.0
    dropout_mask: Annotated[
        Literal["step", "block"], choice("drop other units at every step, or the same ones through a block")
    ] = "step"
    input_dropout: Annotated[float, own_share("share dropped of the word vectors")] = -1.0
    output_dropout: Annotated[float, own_share("share dropped of what the output layer reads")] = -1.0
    embedding_dropout: Annotated[float, share("share of words dropped through a block")] = 0.0
    recurrent_dropout: Annotated[
        float, share("share dropped of the weights from state to state, through a block (DropConnect)")
    ] = 0.0
    activation_penalty: Annotated[
        float, limit("add to the loss this times the mean square of the last layer's output, after dropout")
    ] = 0.0
    temporal_penalty: Annotated[
        float, limit("add to the loss this times the mean square of that output's change, before dropout")
    ] = 0.0
    tie_weights: Annotated[bool, choice("use the word vectors as output matrix too")] = False
    softmax: Annotated[
        Literal["full", "adaptive", "sampled"],
        choice(
            "over all words at once; by clusters of frequency, for large vocabularies; or, while training, over a "
            "sample of the words (perplexities of the training text are then too low)"
        ),
    ] = "full"
    candidates: Annotated[
        int, count("words that a block's sample has, besides its targets (--softmax sampled)")
    ] = 4000
    cutoffs: Annotated[
        str,
        Meta(
            pattern=rf"^({AUTO}|[1-9]\d*(,[1-9]\d*)*)$",
            title=f"{AUTO}, or numbers that rise such as 2000,20000",
            description="where the clusters of the adaptive softmax begin, in the order of frequency, such as "
            f"2000,20000; {AUTO}: V/64, V/16 and V/4",
        ),
    ] = AUTO
    init: Annotated[
        Literal["normal", "uniform", "orthogonal", "identity"],
        choice(
            "how initial weights are drawn: N(0,1) or U(-1,1) times --weight-scale, or normal but for those from "
            "state to state, which are orthogonal or, with --cell rnn, the identity"
        ),
    ] = "normal"
    weight_scale: Annotated[float, limit("initial weights are this times N(0,1); 0: N(0,1)/√(inputs)")] = 0.0
    embedding_scale: Annotated[
        float, Meta(gt=0, description="initial word vectors are this times N(0,1)")
    ] = 0.01

    batch_size: Annotated[int, count("sequences read side by side")] = 20
    time_size: Annotated[int, count("steps that the gradient flows back (truncated BPTT)")] = 35
    wrap: Annotated[
        Literal["circle", "restart"],
        choice(
            "at the end of the text: go on at its front, or start again there with the state at zero (one sequence)"
        ),
    ] = "circle"
    fresh_lines: Annotated[
        bool,
        choice("let a sequence whose block begins at the end of a line begin afresh, as `elman score` does"),
    ] = True
    reduction: Annotated[
        Literal["mean", "sum"], choice("the gradient is of the mean loss over a block, or of the sum")
    ] = "mean"
    optimizer: Annotated[
        Literal["sgd", "momentum", "adagrad", "rmsprop", "adam"], choice("how gradients change weights")
    ] = "adam"
    lr: Annotated[float, Meta(gt=0, description="learning rate")] = 0.002
    schedule: Annotated[
        Literal["constant", "plateau", "cosine"],
        choice(
            "learning rate over time: constant, divided by 4 after an epoch without gain, or half a cosine"
        ),
    ] = "constant"
    weight_decay: Annotated[
        float, limit("an update takes lr times this off every matrix, biases aside (decoupled); 0: none")
    ] = 0.0
    averaging: Annotated[
        Literal["none", "triggered", "tail"],
        choice(
            "validate and keep the mean of the weights over many updates: once the perplexity no longer falls, "
            "or over the last part of training"
        ),
    ] = "none"
    averaging_patience: Annotated[
        int, count("--averaging triggered: begin at an epoch worse than the best before the last so many")
    ] = 5
    averaging_share: Annotated[
        float, Meta(gt=0, le=1, description="--averaging tail: the share of training to average over")
    ] = 0.25
    clip_norm: Annotated[float, limit("clip the gradient to this global norm; 0: no clipping")] = 1.0
    clip_value: Annotated[float, limit("clip every gradient entry to ± this; 0: no clipping")] = 0.0
    epochs: Annotated[int, count("passes over the text")] = 10
    iterations: Annotated[int, limit("end after so many blocks; 0: no limit")] = 0
    time_budget: Annotated[
        float, limit("end after so much training time, such as 90s, 10m, 2h; 0: no limit")
    ] = 0.0
    patience: Annotated[int, limit("end after so many epochs without a better perplexity; 0: never")] = 0
    seed: Annotated[int, Meta(ge=0, description="seed of weights, dropout and samples")] = 0

    backend: Annotated[
        Literal["numpy", "torch"], choice("what holds the weights and computes: NumPy, or PyTorch's tensors")
    ] = "numpy"
    precision: Annotated[
        Literal["float32", "bf16"],
        choice("of the matrix products while training; bf16 needs --backend torch, the rest stays float32"),
    ] = "float32"
    device: Annotated[
        Literal["cpu", "cuda"], choice("where tensors live; cuda, a GPU, needs --backend torch")
    ] = "cpu"

    report_every: Annotated[int, limit("blocks between two points of the training curve; 0: 100")] = 0
    sample_every: Annotated[int, limit("blocks between two samples of the model's writing; 0: none")] = 0
    sample_length: Annotated[int, count("tokens of such a sample")] = 100
    checkpoint_every: Annotated[float, Meta(gt=0, description="seconds between two checkpoints")] = 30.0

    @classmethod
    def of(cls, values: dict[str, Any], where: str) -> "Config":
        """Return the checked configuration of plain ``values``.

        Raises:
            ConfigError: an option is unknown, of the wrong type or out of range; names it and ``where``.
        """
        for name, value in values.items():
            if name not in cls.__struct_fields__:
                close = difflib.get_close_matches(name, cls.__struct_fields__, 1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise ConfigError(f"{where}: there is no option {name!r}{hint}")
            try:
                check(name, value)
            except ConfigError as error:
                raise ConfigError(f"{where}: {name} {error}") from error
        return msgspec.convert(values, cls)

    def to_dict(self) -> dict[str, Any]:
        """Return all options as plain data, in their order here."""
        return msgspec.structs.asdict(self)

    def adaptive(self, vocab_size: int) -> tuple[int, ...] | None:
        """Return the cutoffs of the adaptive softmax over V tokens; None for the full softmax.

        Raises:
            ConfigError: there are cutoffs for another softmax.
        """
        if self.softmax != "adaptive":
            if self.cutoffs != AUTO:
                raise ConfigError(
                    f"cutoffs {self.cutoffs} are those of an adaptive softmax, but softmax is {self.softmax!r}; "
                    "add --softmax adaptive, or leave them out"
                )
            return None
        if self.cutoffs == AUTO:
            return default_cutoffs(vocab_size)
        return tuple(map(int, self.cutoffs.split(",")))


def check(name: str, value: Any, strict: bool = True) -> Any:
    """Return the value of one option; where ``strict`` is not set, a string is read as what the option takes.

    Raises:
        ConfigError: says what the value must be, and what it is.
    """
    try:
        checked = msgspec.convert(value, kinds()[name], strict=strict)
        if isinstance(checked, float) and not math.isfinite(checked):
            raise ValueError("not a finite number")
    except ValueError as error:
        raise ConfigError(f"must be {expected(name)}, got {value!r}") from error
    return checked


@cache
def kinds() -> dict[str, Any]:
    """Return the annotated type of every option."""
    return get_type_hints(Config, include_extras=True)


def expected(name: str) -> str:
    """Return in words what an option takes."""
    kind, meta = get_args(kinds()[name])
    if meta.title is not None:
        return str(meta.title)
    if get_origin(kind) is Literal:
        return " or ".join(get_args(kind))
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[kind]
    bounds = ((meta.ge, "at least"), (meta.gt, "above"), (meta.le, "at most"), (meta.lt, "below"))
    limits = [f"{word} {value:,}" for value, word in bounds if value is not None]
    return " ".join([words, " and ".join(limits)]).strip()


def write_toml(values: dict[str, Any]) -> str:
    """Return plain data as TOML."""
    import tomli_w

    return tomli_w.dumps(values)


def read_toml(text: str, where: str) -> dict[str, Any]:
    """Return the plain data of a TOML text. Raises ConfigError where it is none."""
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not valid TOML: {error}") from error
