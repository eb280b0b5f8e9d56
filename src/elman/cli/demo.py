"""`elman demo`: train recurrent language models in about a minute, and show what they learnt."""

import math
import time
from pathlib import Path

import click
import numpy as np
from msgspec.structs import replace

from elman.errors import MissingExtra
from elman.evaluation.line_scores import score_line
from elman.evaluation.perplexity import begin, read
from elman.evaluation.rooms import LOWEST, top1_accuracy
from elman.generation import Sampler, generate
from elman.language import is_korean, translate
from elman.models.ngram.model import NgramModel
from elman.results import display_width
from elman.text.rooms import QUESTIONS, World
from elman.text_model import TextModel
from elman.training.config import Config
from elman.training.progress import EpochDone, Event
from elman.training.recipes import configure
from elman.training.run import TrainingRun

WORLDS = {"en": ("rooms", QUESTIONS["en"]), "ko": ("rooms-ko", QUESTIONS["ko"])}
GRU = configure("rooms", {})
RNN = replace(GRU, cell="rnn", lr=0.005, epochs=10)
HELLO = Config(
    level="char", lower=True, wordvec=16, hidden=32, batch_size=5, time_size=33, lr=0.01, epochs=60
)
SENTENCES = 5_000  # of the world, drawn to ask the models who is in the room


@click.command("demo")
@click.option(
    "-o",
    "--output",
    default="demo",
    show_default=True,
    type=click.Path(path_type=Path),
    help="the folder to create",
)
@click.option(
    "--language",
    default=None,
    type=click.Choice(["en", "ko"]),
    help="the language of the corpus; by default that of the messages",
)
def command(output: Path, language: str | None) -> None:
    """Watch a recurrent language model learn, in about a minute on two cores.

    Two models are trained on the artificial corpus `rooms`, whose lowest possible perplexity is known exactly.
    Then the demo asks them who is in the room, ranks two sentences, generates text, and plots the learning curves.
    """
    start = time.perf_counter()
    language = language or ("ko" if is_korean() else "en")
    corpus, question = WORLDS[language]
    _heading(translate(f"1. Learning the world `{corpus}`"))
    elman_run = _learn(output / "rnn", corpus, RNN)
    gru_run = _learn(output / "gru", corpus, GRU)
    trigrams = _trigram_model(gru_run)

    _heading(f"2. “{question} …?”")
    models = {
        translate("3-gram model"): trigrams,
        translate("Elman network (RNN)"): elman_run.text_model,
        translate("gated network (GRU)"): gru_run.text_model,
    }
    for name, text_model in models.items():
        _print_next_words(name, text_model, question)
    world = World(language)
    lines = world.text(SENTENCES, np.random.default_rng(0)).splitlines()
    click.echo(translate(f"\n  Accuracy on {len(lines):,} such lines, each read alone:"))
    for name, text_model in models.items():
        click.echo(f"  {_padded(name, 22)}{top1_accuracy(text_model, world, lines):7.1%}")

    _heading(translate("3. Which is the more natural? (a character model of `hello`)"))
    hello = _learn(output / "hello", "hello", HELLO, quiet=True)
    _print_ranking(hello.text_model, ["you say goodbye", "you say good die"])

    _heading(translate("4. What the GRU writes"))
    click.echo(_generate(gru_run.text_model, 80))

    _heading(translate("5. The curves"))
    _plot([output / "rnn", output / "gru"], output / "curve.png")
    seconds = time.perf_counter() - start
    click.echo(translate(f"\n{seconds:.0f} s in all. The models are ordinary runs; try for instance:"))
    click.echo(f"  elman eval {output / 'gru'} {corpus}\n  elman generate {output / 'gru'} --length 40")


def _heading(text: str) -> None:
    click.secho(f"\n{text}", bold=True)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))


def _learn(folder: Path, corpus: str, config: Config, quiet: bool = False) -> TrainingRun:
    """Train a model; print a line per epoch, with a bar for the distance from the lowest possible perplexity."""
    run = TrainingRun.create(folder, corpus, config, overwrite=True)
    references = run.corpora.references
    if references and config.cell == "rnn":
        for name, perplexity in references.items():
            click.echo(f"  {_padded(translate(name), 16)}{perplexity:8.4f}")

    def show(event: Event) -> None:
        if isinstance(event, EpochDone) and event.valid_perplexity is not None:
            bar = _gauge(event.valid_perplexity, references[LOWEST], references["3-gram"])
            line = f"  {config.cell} epoch {event.epoch:>2}  {event.valid_perplexity:8.4f}  {bar}"
            click.echo(translate(line))

    if not quiet:
        head = f"\n  {config.cell}: perplexity of the validation text    lowest possible |{'':22}| 3-gram"
        click.echo(translate(head))
    run.train(show)
    return run


def _gauge(perplexity: float, lowest: float, highest: float, width: int = 22) -> str:
    """Return a bar whose left end is the lowest possible perplexity and whose right end is the 3-gram's."""
    fraction = math.log(perplexity / lowest) / math.log(highest / lowest)
    filled = min(width, max(0, round(fraction * width)))
    return f"{'':9}|{'█' * filled}{' ' * (width - filled)}|{' off the scale' if fraction > 1 else ''}"


def _trigram_model(run: TrainingRun) -> TextModel:
    """Return a 3-gram model of the run's training text."""
    vocabulary = run.text_model.vocabulary
    model = NgramModel.train(run.corpora.train.ids, len(vocabulary), order=3)
    return TextModel(model, run.text_model.tokenizer, vocabulary)


def _print_next_words(name: str, text_model: TextModel, question: str) -> None:
    """Print the most probable next words."""
    model, vocabulary = text_model.model, text_model.vocabulary
    _, ids = text_model.encode(question)
    probs = np.exp(model.next_log_probs(read(model, ids, text_model.start_id))[0])
    best = np.argsort(-probs, kind="stable")[:4]
    answers = "   ".join(f"{vocabulary.token(int(k))} {probs[k]:6.2%}" for k in best)
    click.echo(f"  {_padded(name, 22)}{answers}")


def _print_ranking(text_model: TextModel, sentences: list[str]) -> None:
    """Print sentences with their probabilities, the most probable first."""
    scored = sorted(((score_line(text_model, s).ln_prob, s) for s in sentences), reverse=True)
    for ln_prob, sentence in scored:
        click.echo(f"  ln P = {ln_prob:8.2f}   {sentence}")


def _generate(text_model: TextModel, length: int) -> str:
    model, vocabulary = text_model.model, text_model.vocabulary
    ids = generate(model, begin(model, text_model.start_id), Sampler(), np.random.default_rng(1), length)
    text = text_model.tokenizer.join(vocabulary.decode(list(ids)))
    return "\n".join(f"  {line}" for line in text.splitlines())


def _plot(runs: list[Path], path: Path) -> None:
    from elman.plots import plot_runs

    try:
        plot_runs(runs, path)
    except MissingExtra as error:
        click.echo(translate(f"  no plot: {error}"))
    else:
        click.echo(f"  {path}")
