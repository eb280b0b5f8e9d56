"""The peer PyTorch, eager, as users write it: nn.Embedding, nn.RNN or nn.LSTM, nn.Linear, torch.optim."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from elman.benchmark.workloads import WORDS_A_STEP, Inputs, Peer, Workload
from elman.environment import allowed_threads

torch.set_num_threads(allowed_threads())


class LanguageModel:
    """The workload's model. PyTorch's second bias is kept at zero: the equations have only one."""

    def __init__(self, workload: Workload, inputs: Inputs, device: str = "cpu") -> None:
        V, D, H = workload.V, workload.D, workload.H
        self.V = V
        self.embedding: Any = nn.Embedding(V, D, device=device) if D else None
        kind = nn.RNN if workload.cell == "rnn" else nn.LSTM
        self.rnn = kind(D or V, H, workload.layers, batch_first=True, device=device)
        self.linear = nn.Linear(H, V, device=device)
        w = {name: torch.from_numpy(weight.copy()) for name, weight in inputs.weights.items()}
        if self.embedding is None:
            w["0.Wx"] = w["embedding"]  # one-hot input times Wx is a row of Wx
        else:
            self.embedding.weight.data.copy_(w["embedding"])
        for k in range(workload.layers):
            getattr(self.rnn, f"weight_ih_l{k}").data.copy_(w[f"{k}.Wx"].T)
            getattr(self.rnn, f"weight_hh_l{k}").data.copy_(w[f"{k}.Wh"].T)
            getattr(self.rnn, f"bias_ih_l{k}").data.copy_(w[f"{k}.b"])
            second = getattr(self.rnn, f"bias_hh_l{k}")
            second.data.zero_()
            second.requires_grad_(False)
        self.linear.weight.data.copy_(w["output.W"].T)
        self.linear.bias.data.copy_(w["output.b"])

    def parameters(self) -> Iterator[Any]:
        """Yield the parameters to train."""
        for module in (self.embedding, self.rnn, self.linear):
            if module is not None:
                yield from (p for p in module.parameters() if p.requires_grad)

    def __call__(self, ids: Any, state: Any) -> tuple[Any, Any]:
        """Return scores (N, T, V) and the state after ids (N, T)."""
        xs = F.one_hot(ids, self.V).float() if self.embedding is None else self.embedding(ids)
        hs, state = self.rnn(xs, state)
        return self.linear(hs), state


def make_optimizer(workload: Workload, parameters: list[Any]) -> Any:
    """Return torch's optimizer for the workload."""
    if workload.optimizer == "sgd":
        return torch.optim.SGD(parameters, workload.lr)
    if workload.optimizer == "adam":
        return torch.optim.Adam(parameters, workload.lr)
    # eps inside the root, as in min-char-rnn
    return torch.optim.Adagrad(parameters, workload.lr, initial_accumulator_value=1e-8, eps=0)


class Training:
    """Forward, loss, backward, clipping, update; the forward pass runs within the context manager ``precision()``."""

    def __init__(
        self,
        workload: Workload,
        inputs: Inputs,
        precision: Callable[[], Any] = contextlib.nullcontext,
        device: str = "cpu",
    ) -> None:
        self.workload, self.precision = workload, precision
        self.model = LanguageModel(workload, inputs, device)
        self.parameters = list(self.model.parameters())
        self.optimizer = make_optimizer(workload, self.parameters)
        ids = torch.from_numpy(inputs.ids).to(device)
        length = (len(ids) - 1) // workload.N
        self.xs = ids[:-1][: workload.N * length].view(workload.N, length)
        self.ts = ids[1:][: workload.N * length].view(workload.N, length)
        self.place = 0
        self.state: Any = None

    def forward(self, xs: Any, ts: Any, state: Any) -> tuple[Any, Any]:
        """Return the loss of predicting ts (N, T) from xs (N, T), and the state after xs."""
        scores, state = self.model(xs, state)
        return F.cross_entropy(scores.flatten(0, 1), ts.flatten(), reduction=self.workload.reduction), state

    def step(self) -> float:
        """Train on the next block and return its mean loss."""
        workload = self.workload
        if self.place + workload.T > self.xs.shape[1]:
            self.place = 0
            if workload.wrap == "restart":
                self.state = None
        block = slice(self.place, self.place + workload.T)
        self.place += workload.T
        with self.precision():
            loss, state = self.forward(self.xs[:, block], self.ts[:, block], self.state)
        self.state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        self.optimizer.zero_grad()
        loss.backward()
        if workload.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, workload.clip_norm)
        if workload.clip_value is not None:
            nn.utils.clip_grad_value_(self.parameters, workload.clip_value)
        self.optimizer.step()
        return float(loss.item()) / (workload.N * workload.T if workload.reduction == "sum" else 1)

    def run(self, steps: int) -> tuple[list[float], int]:
        """Train on this number of blocks; see `Peer`."""
        return [self.step() for _ in range(steps)], steps * self.workload.N * self.workload.T


class Words:
    """Scoring a stream word by word from a zero state: the probability of each word, then the state after it."""

    def __init__(self, model: LanguageModel, inputs: Inputs) -> None:
        self.model, self.ids, self.place = model, inputs.ids, 0
        H, layers = model.rnn.hidden_size, model.rnn.num_layers
        self.past = torch.zeros(1, 1, H)
        self.state = (torch.zeros(layers, 1, H), torch.zeros(layers, 1, H))

    def run(self, steps: int) -> tuple[list[float], int]:
        """Score WORDS_A_STEP words per step; see `Peer`."""
        with torch.inference_mode():
            return [self._step() for _ in range(steps)], steps * WORDS_A_STEP

    def _step(self) -> float:
        model, total = self.model, 0.0
        for id_ in self.ids[self.place : self.place + WORDS_A_STEP].tolist():
            total -= F.log_softmax(model.linear(self.past), dim=2)[0, 0, id_].item()
            self.past, self.state = model.rnn(model.embedding(torch.tensor([[id_]])), self.state)
        self.place = (self.place + WORDS_A_STEP) % (len(self.ids) - WORDS_A_STEP)
        return total / WORDS_A_STEP


def build(workload: Workload, inputs: Inputs) -> Peer:
    """Make the peer for a workload that trains, or scores word by word."""
    return (
        Training(workload, inputs)
        if workload.task == "train"
        else Words(LanguageModel(workload, inputs), inputs)
    )
