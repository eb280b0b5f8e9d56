"""PyTorch on the CPU, eager, as its users write it: nn.Embedding, nn.RNN or nn.LSTM, nn.Linear, torch.optim."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from elman.bench.machine import allowed_threads
from elman.bench.workloads import WORDS_A_STEP, Inputs, Peer, Work

torch.set_num_threads(allowed_threads())


class LanguageModel:
    """The work's model. PyTorch's second bias is held at zero: there is one in the equations."""

    def __init__(self, work: Work, inputs: Inputs) -> None:
        self.V = work.V
        self.embedding: Any = nn.Embedding(work.V, work.D) if work.D else None
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

    def parameters(self) -> Iterator[Any]:
        """Give what is trained."""
        for module in (self.embedding, self.rnn, self.linear):
            if module is not None:
                yield from (p for p in module.parameters() if p.requires_grad)

    def __call__(self, ids: Any, state: Any) -> tuple[Any, Any]:
        """Return scores (N, T, V) and the state after ids (N, T)."""
        xs = F.one_hot(ids, self.V).float() if self.embedding is None else self.embedding(ids)
        hs, state = self.rnn(xs, state)
        return self.linear(hs), state


def make_optimizer(work: Work, parameters: list[Any]) -> Any:
    """Return torch's optimizer with the work's rule."""
    if work.optimizer == "sgd":
        return torch.optim.SGD(parameters, work.lr)
    if work.optimizer == "adam":
        return torch.optim.Adam(parameters, work.lr)
    # eps stands inside the root, as min-char-rnn has it
    return torch.optim.Adagrad(parameters, work.lr, initial_accumulator_value=1e-8, eps=0)


class Training:
    """Forward, loss, backward, clipping, update; ``precision`` gives what a forward pass runs within."""

    def __init__(
        self, work: Work, inputs: Inputs, precision: Callable[[], Any] = contextlib.nullcontext
    ) -> None:
        self.work, self.model, self.precision = work, LanguageModel(work, inputs), precision
        self.parameters = list(self.model.parameters())
        self.optimizer = make_optimizer(work, self.parameters)
        ids = torch.from_numpy(inputs.ids)
        length = (len(ids) - 1) // work.N
        self.xs = ids[:-1][: work.N * length].view(work.N, length)
        self.ts = ids[1:][: work.N * length].view(work.N, length)
        self.place = 0
        self.state: Any = None

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
        return float(loss.item()) / (work.N * work.T if work.reduction == "sum" else 1)

    def run(self, steps: int) -> tuple[list[float], int]:
        """Train on so many blocks; see `Peer`."""
        return [self.step() for _ in range(steps)], steps * self.work.N * self.work.T


class Words:
    """A stream, from zeros: the probability of each word, given at once, and the state after it."""

    def __init__(self, model: LanguageModel, inputs: Inputs) -> None:
        self.model, self.ids, self.place = model, inputs.ids, 0
        H, layers = model.rnn.hidden_size, model.rnn.num_layers
        self.past = torch.zeros(1, 1, H)
        self.state = (torch.zeros(layers, 1, H), torch.zeros(layers, 1, H))

    def run(self, steps: int) -> tuple[list[float], int]:
        """Score so many times WORDS_A_STEP words; see `Peer`."""
        with torch.inference_mode():
            return [self._step() for _ in range(steps)], steps * WORDS_A_STEP

    def _step(self) -> float:
        model, total = self.model, 0.0
        for id_ in self.ids[self.place : self.place + WORDS_A_STEP].tolist():
            total -= F.log_softmax(model.linear(self.past), dim=2)[0, 0, id_].item()
            self.past, self.state = model.rnn(model.embedding(torch.tensor([[id_]])), self.state)
        self.place = (self.place + WORDS_A_STEP) % (len(self.ids) - WORDS_A_STEP)
        return total / WORDS_A_STEP


def build(work: Work, inputs: Inputs) -> Peer:
    """Make the peer of a work that trains, or scores a word at a time."""
    return Training(work, inputs) if work.task == "train" else Words(LanguageModel(work, inputs), inputs)
