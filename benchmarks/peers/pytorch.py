"""PyTorch eager (`elman.bench.pytorch`); variants: float32 unless named, "bf16", and "padded" for lines of text."""

from functools import partial

import torch

from elman.bench.pytorch import LanguageModel, Training, Words
from elman.bench.workloads import Peer
from inputs import Inputs
from works import Work


def build(work: Work, inputs: Inputs, variant: str) -> Peer:
    if work.task == "train":
        bf16 = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
        return Training(work, inputs, bf16) if variant == "bf16" else Training(work, inputs)
    from peers.pytorch_scoring import Lines, PaddedLines

    model = LanguageModel(work, inputs)
    if work.task == "words":
        return Words(model, inputs)
    return PaddedLines(model, inputs) if variant == "padded" else Lines(model, inputs)
