"""PyTorch on the CPU, eager, as its users write it: nn.Embedding, nn.RNN or nn.LSTM, nn.Linear, torch.optim."""

import contextlib
import os
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from inputs import Inputs
from peers import Peer
from works import Work

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


class LanguageModel(nn.Module):
    """The work's model. PyTorch's second bias is held at zero: there is one in the equations."""

    def __init__(self, work: Work, inputs: Inputs) -> None:
        super().__init__()
        self.V = work.V
        self.embedding = nn.Embedding(work.V, work.D) if work.D else None
        kind = nn.RNN if work.cell == "rnn" else nn.LSTM
        self.rnn = kind(work.D or work.V, work.H, work.layers, batch_first=True)
        self.linear = nn.Linear(work.H, work.V)
        w = {name: torch.from_numpy(weight.copy()) for name, weight in inputs.weights.items()}
        if self.embedding is None:
            w["0.Wx"] = w["embedding"]  # one-hot input times Wx is a row of Wx
        else:
            self.embedding.weight.data.copy_(w["embedding"])
        for k in range(work.layers):
            getattr(self.rnn, f"weight_ih_l{k}").data.copy_(w[f"{k}.Wx"].T)
            getattr(self.rnn, f"weight_hh_l{k}").data.copy_(w[f"{k}.Wh"].T)
            getattr(self.rnn, f"bias_ih_l{k}").data.copy_(w[f"{k}.b"])
            second = getattr(self.rnn, f"bias_hh_l{k}")
            second.data.zero_()
            second.requires_grad_(False)
        self.linear.weight.data.copy_(w["output.W"].T)
        self.linear.bias.data.copy_(w["output.b"])

    def forward(self, ids: Any, state: Any) -> tuple[Any, Any]:
        """Return scores (N, T, V) and the state after ids (N, T)."""
        xs = F.one_hot(ids, self.V).float() if self.embedding is None else self.embedding(ids)
        hs, state = self.rnn(xs, state)
        return self.linear(hs), state


def make_optimizer(work: Work, parameters: list[Any]) -> Any:
    if work.optimizer == "sgd":
        return torch.optim.SGD(parameters, work.lr)
    if work.optimizer == "adam":
        return torch.optim.Adam(parameters, work.lr)
    # eps stands inside the root, as min-char-rnn has it
    return torch.optim.Adagrad(parameters, work.lr, initial_accumulator_value=1e-8, eps=0)


class Training:
    def __init__(self, work: Work, inputs: Inputs, bf16: bool) -> None:
        self.work, self.model = work, LanguageModel(work, inputs)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = make_optimizer(work, self.parameters)
        ids = torch.from_numpy(inputs.ids)
        length = (len(ids) - 1) // work.N
        self.xs = ids[:-1][: work.N * length].view(work.N, length)
        self.ts = ids[1:][: work.N * length].view(work.N, length)
        self.place, self.state = 0, None
        self.precision: Any = contextlib.nullcontext
        if bf16:
            self.precision = lambda: torch.autocast("cpu", dtype=torch.bfloat16)

    def step(self) -> float:
        """Train on the next block and return its mean loss."""
        work = self.work
        if self.place + work.T > self.xs.shape[1]:
            self.place = 0
            if work.wrap == "restart":
                self.state = None
        block = slice(self.place, self.place + work.T)
        self.place += work.T
        with self.precision():
            scores, state = self.model(self.xs[:, block], self.state)
            loss = F.cross_entropy(
                scores.flatten(0, 1), self.ts[:, block].flatten(), reduction=work.reduction
            )
        self.state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        self.optimizer.zero_grad()
        loss.backward()
        if work.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, work.clip_norm)
        if work.clip_value is not None:
            nn.utils.clip_grad_value_(self.parameters, work.clip_value)
        self.optimizer.step()
        return loss.item() / (work.N * work.T if work.reduction == "sum" else 1)

    def run(self, steps: int) -> tuple[list[float], int]:
        return [self.step() for _ in range(steps)], steps * self.work.N * self.work.T


def build(work: Work, inputs: Inputs, variant: str) -> Peer:
    if work.task == "train":
        return Training(work, inputs, variant == "bf16")
    from peers import pytorch_scoring

    kinds = {"lines": pytorch_scoring.Lines, "words": pytorch_scoring.Words}
    kind = pytorch_scoring.PaddedLines if variant == "padded" else kinds[work.task]
    return kind(LanguageModel(work, inputs).eval(), inputs)
