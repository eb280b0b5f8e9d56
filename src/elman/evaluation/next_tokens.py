"""The most probable next tokens after a text."""

import html
from typing import NamedTuple

import numpy as np

from elman.errors import ConfigError
from elman.evaluation.surprisal import most_probable
from elman.models.tokenized import TokenizedModel, reading_threads
from elman.results import SHOWN, Table


class NextToken(NamedTuple):
    """A token and its probability of coming next."""

    token: str
    probability: float


class NextTokens(Table[NextToken]):
    """The most probable next tokens, the most probable first; in a notebook, with bars."""

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><td style="text-align:left"><code>{html.escape(repr(row.token)[1:-1])}</code></td>'
            f'<td style="text-align:right">{row.probability:.4f}</td><td style="text-align:left;width:12em">'
            f'<div style="background:#ec9a3c;height:0.9em;width:{100 * row.probability:.1f}%"></div></td></tr>'
            for row in self.rows[:SHOWN]
        )
        return f"<table>{rows}</table>"


def next_tokens(
    text_model: TokenizedModel, text: str | bytes, top: int | None = 10, bos: bool = True
) -> NextTokens:
    """Return the ``top`` most probable next tokens after a text; all tokens for None.

    Raises:
        ConfigError: ``top`` is below 1.
    """
    if top is not None and top < 1:
        raise ConfigError(f"top must be ≥ 1, or None for all tokens; got {top}")
    state = text_model.begin_sentence() if bos else text_model.null_context()
    ids = text_model.encode(text)[1]
    known = ids[ids >= 0].astype(np.intp)[None]
    with reading_threads(known.size, text_model.model):
        if known.size:
            state = text_model.model.feed(known, state)
        log_probs = text_model.model.next_log_probs(state)[0]
    best = most_probable(log_probs, len(log_probs) if top is None else top)
    tokens = text_model.vocabulary.decode(best)
    return NextTokens(list(map(NextToken, tokens, np.exp(log_probs[best]).tolist())))
