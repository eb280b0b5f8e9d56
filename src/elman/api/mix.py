"""Mix several models into one, with weights fitted to a text."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from elman.errors import ConfigError, RunError
from elman.evaluation.adaptation import as_read
from elman.evaluation.mixing import Mixed, in_one_order
from elman.evaluation.mixing import mix as mix_members
from elman.formats.run_files import FILES, check_run_folder, save_run, writing_run
from elman.text.reading import Errors
from elman.text.sources import Text, encoded, is_path, text_name
from elman.text_model import Model, TextModel, as_model, by_name
from elman.training.corpora import absolute_source

PathLike = str | os.PathLike[str]


def mix(
    models: Sequence[Model] | Mapping[str, Model],
    tune: Text,
    output: PathLike | None = None,
    split: str = "valid",
    *,
    encoding: str = "utf-8",
    errors: Errors = "strict",
    overwrite: bool = False,
    **adaptation: Any,
) -> Mixed[TextModel]:
    """Mix several models into one, with weights fitted to a text; the result has it as ``model``.

    The mixture's probabilities are weighted means, P = λ1 P1 + λ2 P2 + ..., with the weights that give the text the
    highest probability. The models may be of any kind, but must have the same vocabulary; its order may differ, as in
    sorted ARPA files: the models of the mixture get the ids of the first one.

    Args:
        models: two or more models or paths, or a mapping from names to them.
        tune: the text to fit the weights to, which no model was trained on: a file, a folder, a named corpus, or lines.
        output: the run folder to create; without it, nothing is saved.
        split: the part of a named corpus.
        encoding: of files and streams.
        errors: what happens to a line that is not in the encoding: see `elman.TextModel.evaluate`.
        overwrite: replace the run that is in the folder.
        adaptation: ``dynamic=True``, ``neural_cache=100`` and so on, as of the command's options: the weights are then
            fitted to the models as they adapt, while the mixture holds the models as trained.

    Raises:
        ConfigError, ModelFileError, VocabularyError: there are fewer than two models, or they are incompatible.
        RunError: the folder holds a run already, or is one of the models.
        TextError: the text cannot be read, or has no token with a probability.
    """
    named = by_name(models)
    if len(named) < 2:
        raise ConfigError("name two or more different models to mix")
    if output is None:
        return _mixed(named, tune, split, encoding, errors, "mixture", adaptation)
    if Path(output).resolve() in {_folder(each) for each in named.values()}:
        raise RunError(f"{output} is one of the runs to mix; choose another folder for the mixture")
    with writing_run(Path(output)):
        check_run_folder(Path(output), overwrite)
        mixed = _mixed(named, tune, split, encoding, errors, os.fspath(output), adaptation)
        save_run(Path(output), mixed.model, overwrite)
    return mixed


def _mixed(
    models: Mapping[str, Model],
    tune: Text,
    split: str,
    encoding: str,
    errors: Errors,
    name: str,
    adaptation: Mapping[str, Any],
) -> Mixed[TextModel]:
    members = in_one_order({member: as_model(model) for member, model in models.items()})
    first = next(iter(members.values()))
    with encoded(tune, first.tokenizer, first.vocabulary, split, encoding, errors) as corpus:
        readers = as_read(members, encoding, **adaptation)
        info = {"tuned_on": absolute_source(text_name(tune)) if is_path(tune) else text_name(tune)}
        return mix_members(members, corpus.ids, info, readers.__getitem__, name)


def _folder(model: Model) -> Path | None:
    """Return a run's folder, which may be named by a file in it; None for a model in memory."""
    if isinstance(model, TextModel):
        return None
    path = Path(model)
    return (path.parent if path.name in FILES else path).resolve()
