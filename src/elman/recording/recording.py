"""Record a run: its learning curve, and everything that the page shows about a few texts, for one or more models."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman import __version__
from elman.errors import ConfigError, RunError
from elman.formats.metrics_log import read_metrics
from elman.inspection.examples import comparable, opening, pairs, swapped_pair, write
from elman.inspection.network import summary
from elman.models.recurrent import RecurrentLM
from elman.recording.recorded_text import (
    Part,
    parts_of,
    record_influence,
    record_inside,
    record_scores,
    whole_ln_prob,
)
from elman.text.offsets import token_offsets
from elman.text_model import TextModel, load

FORMAT = 1
MAX_TRACE_BYTES = 2_000_000  # of all hidden states and gates together
MAX_POINTS = 1000  # lines of one kind, as many as a screen can show
MAX_SAMPLES = 60
MAX_SAMPLE_LENGTH = 1500  # characters
SENTENCE = "the keys to the cabinet are on the table"  # shown where the vocabulary has its words
TEXT_SAMPLES = 2


@dataclass(frozen=True)
class RecordedModel:
    """A model to record: its name on the page, and the folder it comes from."""

    name: str
    folder: Path
    text_model: TextModel


def record(
    runs: Sequence[Path], texts: Sequence[str] = (), tokens: int = 80, seed: int = 0
) -> dict[str, Any]:
    """Return the recording of a run, and of others to compare it with, as JSON data.

    Without ``texts``, the first model writes some, with this seed. Texts are cut after ``tokens`` tokens of the first
    model. The states that fit into `MAX_TRACE_BYTES` are recorded, those of the top layers first, then the gates.

    Raises:
        ElmanError: a run has no model, its metrics are damaged, or a text has no token.
    """
    models = [RecordedModel(name, run, load(run)) for name, run in zip(_names(runs), runs, strict=True)]
    first = models[0].text_model
    wanted = texts or choose_texts(first, tokens, seed)
    chosen = list(dict.fromkeys(cut(first, text, tokens) for text in wanted))
    if not chosen or any(not len(first.encode(text)[1]) for text in chosen):
        raise ConfigError("a text to record has no token; give another `text`")
    pair = [*pairs(first, seed), swapped_pair(chosen[0])][0].texts
    opened = opening(first)
    names = comparable({each.name: each.text_model for each in models})
    return {
        "format": FORMAT,
        "elman": __version__,
        "runs": [{"name": each.name, "lines": _curve(each.folder)} for each in models],
        "texts": chosen,
        "opening": opened._asdict() if opened is not None and opened.text in chosen else None,
        "pair": list(pair),
        "models": [
            _model(each, chosen, pair) | {"about": summary(each.name, each.text_model, names[each.name])}
            for each in models
        ],
    }


def _names(runs: Sequence[Path]) -> list[str]:
    names = [run.resolve().name if run.is_dir() else run.resolve().name.partition(".")[0] for run in runs]
    if len(set(names)) < len(names):
        raise ConfigError(
            "two of the runs to record have the same name, which is that of their folder; rename one"
        )
    return names


def _curve(folder: Path) -> list[dict[str, Any]]:
    """Return the thinned metrics of a run; none for a model without a run."""
    if not (folder / "metrics.jsonl").is_file():
        return []
    try:
        return thinned(read_metrics(folder))
    except (KeyError, TypeError) as error:
        raise RunError(f"{folder}/metrics.jsonl is damaged: {error!r}") from error


def _model(recorded: RecordedModel, texts: Sequence[str], pair: Sequence[str]) -> dict[str, Any]:
    text_model, names = recorded.text_model, dict[int, str]()
    model = text_model.model
    network = model if isinstance(model, RecurrentLM) else None
    parts = [] if network is None else _parts(network, text_model, texts)
    scored = []
    for text in texts:
        found = record_scores(text_model, text, names)
        if any(token[1] >= 0 for token in found["tokens"]):
            found |= record_influence(text_model, text)
            found |= {} if network is None else record_inside(text_model, text, parts)
        scored.append(found)
    compared = [
        {**record_scores(text_model, text, names), "whole": whole_ln_prob(text_model, text)} for text in pair
    ]
    return {
        "texts": scored,
        "compared": compared,
        "names": {str(id_): name for id_, name in sorted(names.items())},
    }


def _parts(network: RecurrentLM, text_model: TextModel, texts: Sequence[str]) -> list[Part]:
    """Return the parts of the network that fit into the page, at least h of the top layer."""
    tokens = sum(len(text_model.encode(text)[1]) for text in texts)
    one = tokens * max(network.hidden_size, network.output_size) * 4 // 3  # in base64
    return parts_of(network)[: max(1, MAX_TRACE_BYTES // max(1, one))]


def choose_texts(text_model: TextModel, tokens: int, seed: int) -> list[str]:
    """Return the text to open with and a sentence, if the model knows their words, and texts that it writes."""
    opened = opening(text_model)
    texts = [] if opened is None else [opened.text]
    texts += [write(text_model, tokens, seed + k) for k in range(TEXT_SAMPLES)]
    texts += [SENTENCE] if SENTENCE in text_model else []
    return list(dict.fromkeys(text for text in texts if text.strip()))


def cut(text_model: TextModel, text: str, tokens: int) -> str:
    """Return the beginning of a text, up to a number of tokens of this model."""
    offsets: Sequence[Sequence[int]] = token_offsets(text_model.tokenizer, text).tolist()
    return text if len(offsets) <= tokens else text[: offsets[tokens - 1][1]]


def thinned(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a run's metrics with a bounded number of lines of each kind, evenly chosen from the first to the last."""
    places: dict[str, list[int]] = {}
    for place, line in enumerate(lines):
        places.setdefault(line["kind"], []).append(place)
    kept = {place for kind, of_kind in places.items() for place in _spread(of_kind, _most(kind))}
    return [_short(line) for place, line in enumerate(lines) if place in kept]


def _most(kind: str) -> int:
    return MAX_SAMPLES if kind == "sample" else MAX_POINTS


def _spread(places: list[int], most: int) -> list[int]:
    if len(places) <= most:
        return places
    return [places[k * (len(places) - 1) // (most - 1)] for k in range(most)]


def _short(line: dict[str, Any]) -> dict[str, Any]:
    if line["kind"] == "sample" and len(line["text"]) > MAX_SAMPLE_LENGTH:
        return {**line, "text": line["text"][:MAX_SAMPLE_LENGTH] + " …"}
    return {name: None if _is_not_finite(value) else value for name, value in line.items()}


def _is_not_finite(value: Any) -> bool:
    """Return whether a value is an infinity or NaN, which JSON lacks."""
    return isinstance(value, float) and not math.isfinite(value)
