"""`elman mix`: several models in, one out that is better than each."""

from pathlib import Path
from typing import Any

import click

from elman.cli.options import dynamic_options, neural_cache_options, threads_for, with_cache, with_dynamic
from elman.errors import ConfigError, RunError
from elman.evaluation.mixing import Mixed, mix
from elman.formats.model_file import MODEL_NAME, save_model
from elman.models.adaptive.cache import has_hidden_states
from elman.models.adaptive.learner import learns
from elman.models.base import LanguageModel
from elman.models.mixture import any_fits
from elman.text import datasets
from elman.text.corpus import encode_corpus
from elman.text_model import load
from elman.training.corpora import lasting
from elman.training.run_folder import FILES


@click.command("mix", no_args_is_help=True)
@click.argument("runs", nargs=-1, metavar="RUN RUN ...", type=click.Path(path_type=Path))
@click.option("--tune", help="the text to fit the weights to: a file, a folder, or a named corpus")
@click.option("--split", default="valid", show_default=True, help="which part of a named corpus")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
@dynamic_options
@neural_cache_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the folder to make")
@click.option("--overwrite", is_flag=True, help="replace the run that is in the folder")
def command(
    runs: tuple[Path, ...],
    tune: str | None,
    split: str,
    encoding: str,
    output: Path | None,
    overwrite: bool,
    neural_cache: int | None,
    theta: float | None,
    cache_weight: float | None,
    **dynamic: Any,
) -> None:
    """Mix the models in several RUNs into one, kept in the folder MIX (-o).

    The mixture's probabilities are weighted means of theirs, P = λ1 P1 + λ2 P2 + ..., with the weights that
    give the text of --tune the highest probability. The models may be of any kinds, but must have the same
    vocabulary. For instance: elman mix lstm n-gram --tune valid.txt -o MIX

    With --dynamic or --neural-cache the weights are fitted to what the recurrent models say while they adapt.
    MIX holds the models as trained, and the weights: give the same options to `elman eval MIX`.
    """
    if len(set(runs)) < max(2, len(runs)):
        raise ConfigError("name two or more RUNs to mix, each once")
    if tune is None:
        raise ConfigError(
            "name a text to fit the weights to, which no model was trained on: --tune valid.txt"
        )
    if output is None:
        raise ConfigError("name the folder to make: -o MIX")
    made = [output / name for name in FILES if (output / name).exists()]
    if made and not overwrite:
        raise RunError(f"{output} holds a run already; replace it by --overwrite, or choose another folder")
    if output.resolve() in {_folder(run) for run in runs}:
        raise RunError(f"{output} is one of the runs to mix; choose another folder for the mixture")
    members = {str(run): load(run) for run in runs}
    first = members[str(runs[0])]
    text = encode_corpus(
        datasets.resolve(tune, split),
        first.tokenizer,
        cache=None,
        vocabulary=first.vocabulary,
        encoding=encoding,
    )
    learning = [name for name in members if any_fits(members[name].model, learns)]
    hidden = [name for name in members if any_fits(members[name].model, has_hidden_states)]

    def as_read(name: str) -> LanguageModel:
        """Return a member that adapts as the options say; where no member can, each is refused."""
        member = members[name]
        if name in learning or not learning:
            member = with_dynamic(member, encoding, **dynamic)
        if name in hidden or not hidden:
            member = with_cache(member, None, neural_cache, theta, cache_weight)
        return member.model

    with threads_for(**dynamic):
        mixed = mix(members, text.ids, {"tuned_on": lasting(tune)}, as_read)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make the folder {output}: {error.strerror or error}") from error
    save_model(output / MODEL_NAME, mixed.text_model)
    for path in made:
        if path.name != MODEL_NAME:
            path.unlink()
    click.echo(table(mixed, list(members), str(output)))


def _folder(run: Path) -> Path:
    """Return a run's folder, also of one named by a file in it."""
    return (run.parent if run.name in FILES else run).resolve()


def table(mixed: Mixed, names: list[str], output: str) -> str:
    """Return the weights and the perplexities of the members and of the mixture, as lines for people."""
    unit = f"known {mixed.text_model.unit}" if mixed.unknown else mixed.text_model.unit
    rows = [
        (f"{weight:.4f}", f"{perplexity:.4f}", name)
        for weight, perplexity, name in zip(mixed.weights, mixed.perplexities, names, strict=True)
    ]
    rows = [("weight", f"perplexity per {unit}", "model"), *rows, ("", f"{mixed.perplexity:.4f}", output)]
    return "\n".join("\t".join(row) for row in rows)
