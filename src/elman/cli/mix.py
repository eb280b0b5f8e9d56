"""`elman mix`: combine several models into one, with weights fitted to a text."""

from pathlib import Path
from typing import Any

import click

from elman.cli.options import dynamic_options, neural_cache_options
from elman.errors import ConfigError, RunError
from elman.evaluation.adaptation import adapted
from elman.evaluation.mixing import Mixed, mix
from elman.formats.run_files import FILES, check_run_folder, save_run
from elman.models.adaptive.cache import has_hidden_states
from elman.models.adaptive.learner import learns
from elman.models.base import LanguageModel
from elman.models.mixture import any_fits
from elman.text import datasets
from elman.text.corpus import encode_corpus
from elman.text_model import load
from elman.training.corpora import absolute_source


@click.command("mix", no_args_is_help=True)
@click.argument("runs", nargs=-1, metavar="RUN RUN ...", type=click.Path(path_type=Path))
@click.option("--tune", help="text to fit the weights to: a file, a folder, or a named corpus")
@click.option("--split", default="valid", show_default=True, help="the part of a named corpus")
@click.option("--encoding", default="utf-8", show_default=True, help="the text's encoding")
@dynamic_options
@neural_cache_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="the run folder to create")
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
    """Mix the models in several RUNs into one, and save it in the folder MIX (-o).

    The mixture's probabilities are weighted means, P = λ1 P1 + λ2 P2 + ..., with the weights that give the text of
    --tune the highest probability. The models may be of any kind, but must have the same vocabulary.
    For instance: elman mix lstm n-gram --tune valid.txt -o MIX

    With --dynamic or --neural-cache the weights are fitted to the recurrent models as they adapt. MIX holds the
    models as trained, and the weights: give the same options to `elman eval MIX`.
    """
    if len(set(runs)) < max(2, len(runs)):
        raise ConfigError("name two or more different RUNs to mix")
    if tune is None:
        raise ConfigError(
            "name a text to fit the weights to, which no model was trained on: --tune valid.txt"
        )
    if output is None:
        raise ConfigError("name the run folder to create: -o MIX")
    check_run_folder(output, overwrite)
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
    trainable = [name for name in members if any_fits(members[name].model, learns)]
    with_states = [name for name in members if any_fits(members[name].model, has_hidden_states)]

    def as_read(name: str) -> LanguageModel:
        """Return a member as it is read: adapting if it can; where no member can adapt, this raises."""
        member = members[name]
        if name in trainable or not trainable:
            member = adapted(member, encoding, **dynamic)
        if name in with_states or not with_states:
            member = adapted(member, neural_cache=neural_cache, theta=theta, cache_weight=cache_weight)
        return member.model

    mixed = mix(members, text.ids, {"tuned_on": absolute_source(tune)}, as_read)
    save_run(output, mixed.text_model)
    click.echo(table(mixed, list(members), str(output)))


def _folder(run: Path) -> Path:
    """Return a run's folder, which may be named by a file in it."""
    return (run.parent if run.name in FILES else run).resolve()


def table(mixed: Mixed, names: list[str], output: str) -> str:
    """Return the weights and perplexities of the members and of the mixture, separated by tabs."""
    unit = f"known {mixed.text_model.unit}" if mixed.unknown else mixed.text_model.unit
    rows = [
        (f"{weight:.4f}", f"{perplexity:.4f}", name)
        for weight, perplexity, name in zip(mixed.weights, mixed.perplexities, names, strict=True)
    ]
    rows = [("weight", f"perplexity per {unit}", "model"), *rows, ("", f"{mixed.perplexity:.4f}", output)]
    return "\n".join("\t".join(row) for row in rows)
