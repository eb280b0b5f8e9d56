"""Scoring lines of text with PyTorch: one at a time, and padded ones in batches."""

from typing import Any

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from inputs import EOS, Inputs
from peers import LINES_A_STEP

BATCH = 64
IGNORED = -100


class Lines:
    """A line at a time: its words and its end, the first predicted from the end of a line."""

    def __init__(self, model: Any, inputs: Inputs) -> None:
        self.model, self.lines, self.place = model, inputs.lines, 0
        self.number = {word: i for i, word in enumerate(inputs.words)}

    def encode(self, line: str) -> Any:
        return torch.tensor([self.number[word] for word in (EOS, *line.split(), EOS)])

    def score(self, lines: list[str]) -> list[tuple[float, int]]:
        """Return the nll in nats and the number of tokens of each line."""
        scores = []
        for line in lines:
            ids = self.encode(line)
            found, _ = self.model(ids[None, :-1], None)
            scores.append((F.cross_entropy(found[0], ids[1:], reduction="sum").item(), len(ids) - 1))
        return scores

    @torch.inference_mode()
    def run(self, steps: int) -> tuple[list[float], int]:
        lines = []
        for _ in range(steps):
            lines += self.lines[self.place : self.place + LINES_A_STEP]
            self.place = (self.place + LINES_A_STEP) % len(self.lines)
        scores = self.score(lines)
        parts = [scores[k : k + LINES_A_STEP] for k in range(0, len(scores), LINES_A_STEP)]
        losses = [sum(nll for nll, _ in part) / sum(tokens for _, tokens in part) for part in parts]
        return losses, sum(tokens for _, tokens in scores)


class PaddedLines(Lines):
    """All lines sorted by length, 64 at a time."""

    def score(self, lines: list[str]) -> list[tuple[float, int]]:
        encoded = [self.encode(line) for line in lines]
        order = sorted(range(len(lines)), key=lambda k: len(encoded[k]))
        scores: list[tuple[float, int]] = [(0.0, 0)] * len(lines)
        for k in range(0, len(order), BATCH):
            places = order[k : k + BATCH]
            xs = pad_sequence([encoded[p][:-1] for p in places], batch_first=True)
            ts = pad_sequence([encoded[p][1:] for p in places], batch_first=True, padding_value=IGNORED)
            found, _ = self.model(xs, None)
            nll = F.cross_entropy(
                found.flatten(0, 1), ts.flatten(), reduction="none", ignore_index=IGNORED
            ).view(ts.shape)
            for p, value in zip(places, nll.sum(dim=1).tolist(), strict=True):
                scores[p] = value, len(encoded[p]) - 1
        return scores
