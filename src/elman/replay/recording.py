"""What is recorded: a run's curve, and all that the page asks for about a few texts, of one model or two."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman import __version__
from elman.errors import ConfigError, RunError
from elman.inspection.summary import summary
from elman.models.file import load
from elman.models.rnnlm import RecurrentLM
from elman.models.text_model import TextModel
from elman.replay.curve import thinned
from elman.replay.inside import Part, parts_of, record_inside
from elman.replay.scored import record_scores, whole_ln_prob
from elman.replay.texts import choose_pair, choose_texts, cut
from elman.training.metrics import read_metrics

TRACE_BYTES = 2_000_000  # of all hidden states and gates together
FORMAT = 1


@dataclass(frozen=True)
class Recorded:
    """A model that is recorded: its name on the page, and the folder it came from."""

    name: str
    folder: Path
    text_model: TextModel


def record(
    runs: Sequence[Path], texts: Sequence[str] = (), tokens: int = 80, seed: int = 0
) -> dict[str, Any]:
    """Return the recording of a run, and of others to compare it with, as plain data.

    Without ``texts`` the first model writes some, with this seed. A text is cut after ``tokens`` of the first
    model's tokens. The states that fit into `TRACE_BYTES` are kept, those of the top layers first, then the gates.

    Raises:
        ElmanError: a run has no model, its metrics are damaged, or a text has no token.
    """
    models = [Recorded(name, run, load(run)) for name, run in zip(_names(runs), runs, strict=True)]
    first = models[0].text_model
    wanted = texts or choose_texts(first, tokens, seed)
    chosen = list(dict.fromkeys(cut(first, text, tokens) for text in wanted))
    if not chosen or any(not len(first.encode(text)[1]) for text in chosen):
        raise ConfigError("a text to record holds no token; give another --text")
    pair = choose_pair(first, chosen[0])
    return {
        "format": FORMAT,
        "elman": __version__,
        "runs": [{"name": each.name, "lines": _curve(each.folder)} for each in models],
        "texts": chosen,
        "pair": list(pair),
        "models": [_model(each, chosen, pair) for each in models],
    }


def _names(runs: Sequence[Path]) -> list[str]:
    names = [run.resolve().name if run.is_dir() else run.resolve().name.partition(".")[0] for run in runs]
    if len(set(names)) < len(names):
        raise ConfigError(
            "two of the runs to record have the same name, which is that of their folder; rename one"
        )
    return names


def _curve(folder: Path) -> list[dict[str, Any]]:
    """Return a run's thinned metrics; none for a model that no run of elman made."""
    if not (folder / "metrics.jsonl").is_file():
        return []
    try:
        return thinned(read_metrics(folder))
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder}/metrics.jsonl is damaged ({error!r}); elman did not write it so") from error


def _model(recorded: Recorded, texts: Sequence[str], pair: Sequence[str]) -> dict[str, Any]:
    text_model, names = recorded.text_model, dict[int, str]()
    model = text_model.model
    network = model if isinstance(model, RecurrentLM) else None
    parts = [] if network is None else _parts(network, text_model, texts)
    scored = []
    for text in texts:
        found = record_scores(text_model, text, names)
        if network is not None and any(token[1] >= 0 for token in found["tokens"]):
            found |= record_inside(text_model, text, parts)
        scored.append(found)
    compared = [
        {**record_scores(text_model, text, names), "whole": whole_ln_prob(text_model, text)} for text in pair
    ]
    return {
        "about": summary(recorded.name, text_model),
        "texts": scored,
        "compared": compared,
        "names": {str(id_): name for id_, name in sorted(names.items())},
    }


def _parts(network: RecurrentLM, text_model: TextModel, texts: Sequence[str]) -> list[Part]:
    """Return the parts of the network that fit into the page; the top layer's h always."""
    tokens = sum(len(text_model.encode(text)[1]) for text in texts)
    one = tokens * network.hidden_size * 4 // 3  # as base64
    return parts_of(network)[: max(1, TRACE_BYTES // max(1, one))]
