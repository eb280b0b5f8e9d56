"""PyTorch eager (`elman.benchmark.pytorch`); variants: float32 unless named, "bf16", and "padded" for lines of text."""

from functools import partial

import torch

from elman.benchmark.pytorch import LanguageModel, Training, Words
from elman.benchmark.workloads import Peer
from inputs import Inputs
from workloads import Workload


def build(workload: Workload, inputs: Inputs, variant: str) -> Peer:
    if workload.task == "train":
        bf16 = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
        return Training(workload, inputs, bf16) if variant == "bf16" else Training(workload, inputs)
    from peers.pytorch_scoring import Lines, PaddedLines

    model = LanguageModel(workload, inputs)
    if workload.task == "words":
        return Words(model, inputs)
    return PaddedLines(model, inputs) if variant == "padded" else Lines(model, inputs)
