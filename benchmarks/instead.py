"""elman beside what one would take instead: `python benchmarks/instead.py --corpus ptb --minutes 28 -o instead`.

On one text, with the same number of threads and the same minutes of training each:

elman       `elman train --recipe NAME --time-budget …`
lstm        two LSTM layers in PyTorch, trained as its well-known example for word models does: SGD with learning rate
            20, divided by 4 when an epoch does not improve the validation loss, clipped to 0.25, dropout 0.2, tied
            weights, 20 sequences of 35 steps
transformer a small GPT in PyTorch with the sizes that nanoGPT's readme proposes for a CPU: 4 layers, 4 heads, width
            128, context 64, batches of 12, no dropout, AdamW (0.9, 0.99) at 0.001 with warm-up and cosine, weight
            decay 0.1, clipped to 1
5-gram      `elman train --model ngram --order 5`: interpolated Kneser-Ney, as KenLM estimates it; it takes seconds

The clock of the two in PyTorch stands still while they are measured on the validation text; elman's does not. The
weights that were best on the validation text are measured on the test text: an LSTM carries its state through the
text, the transformer reads windows that overlap by half and predicts the second half of each. Prints a Markdown table;
FOLDER gets the numbers as JSON, the learning curves as a picture, and the runs. Corpora come from $ELMAN_DATA.
``--quick`` trains on a built-in text for a few seconds, to see that the script works.
"""

import argparse
import itertools
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import elman
from elman.environment import usable_cores
from elman.plots import COLOURS, MARKERS, finish, new_figure, save
from elman.text.registry import builtin_content
from tables import markdown

Ids = NDArray[np.int64]
LEARN = 1e-3  # the transformer's learning rate at the beginning; a tenth of it at the end
WARM_UP = 0.05  # of the time
CURVE_TOKENS = 50_000  # of the validation text, for a point of a transformer's learning curve
POINTS = 30  # of that curve


@dataclass(frozen=True)
class Corpus:
    """Where the texts are, how they are read, and which recipe of elman fits them.

    A single file is cut into 80, 10 and 10 % of its characters.
    """

    files: tuple[str, ...]
    level: str
    recipe: str


CORPORA = {
    "ptb": Corpus(("ptb/ptb.train.txt", "ptb/ptb.valid.txt", "ptb/ptb.test.txt"), "word", "ptb"),
    "tinyshakespeare": Corpus(("tinyshakespeare/input.txt",), "char", "chars"),
    "korean": Corpus(("korean/wikinews.txt",), "byte", "bytes"),
}


@dataclass
class Texts:
    """The three texts as files, and as ids (L,) of a vocabulary of V tokens."""

    paths: dict[str, Path]
    ids: dict[str, Ids]
    V: int


@dataclass
class Result:
    """What was reached: losses in nats per token; the curve is (seconds, validation loss)."""

    name: str
    parameters: int
    seconds: float
    epochs: float
    validation: float
    test: float
    curve: list[tuple[float, float]] = field(default_factory=list)


def prepared(corpus: Corpus, folder: Path, quick: bool) -> Texts:
    """Write the three texts to a folder, and encode them with the vocabulary of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    data = os.environ.get("ELMAN_DATA", "")
    if quick:
        contents = [builtin_content("prose-en").decode()]
    else:
        contents = [Path(data, file).read_text(encoding="utf-8") for file in corpus.files]
    if len(contents) == 1:
        (whole,) = contents
        cuts = [0, len(whole) * 8 // 10, len(whole) * 9 // 10, len(whole)]
        contents = [whole[first:last] for first, last in itertools.pairwise(cuts)]
    paths = {split: folder / f"{split}.txt" for split in ("train", "valid", "test")}
    for path, content in zip(paths.values(), contents, strict=True):
        path.write_text(content, encoding="utf-8", newline="\n")
    counts = elman.train(
        paths["train"],
        folder / "counts",
        model="ngram",
        order=1,
        level=corpus.level,
        valid="none",
        overwrite=True,
    ).model
    ids = {split: ids_of(counts, path) for split, path in paths.items()}
    return Texts(paths, ids, len(counts.vocabulary))


def ids_of(model: Any, path: Path) -> Ids:
    """Return the ids of a text as one sequence, with the end of a line before the first token."""
    _, ids = model.encode(path.read_text(encoding="utf-8"))
    return np.concatenate([[model.start_id], ids]).astype(np.int64)


def with_elman(corpus: Corpus, texts: Texts, folder: Path, given: argparse.Namespace) -> Result:
    """Train a recipe of elman from the command line."""
    length = (
        ("--iterations", "20")
        if given.quick
        else ("--time-budget", f"{60 * given.minutes:g}s", "--epochs", "100000")
    )
    small = ("--hidden", "16", "--layers", "1") if given.quick else ()
    return by_command(
        "elman",
        texts,
        folder / "elman",
        ("--recipe", given.recipe or corpus.recipe, *small, *length, "--level", corpus.level),
    )


def with_ngrams(corpus: Corpus, texts: Texts, folder: Path, given: argparse.Namespace) -> Result:
    """Count the 5-grams of the text."""
    return by_command(
        "5-gram", texts, folder / "5-gram", ("--model", "ngram", "--order", "5", "--level", corpus.level)
    )


def by_command(name: str, texts: Texts, run: Path, options: Sequence[str]) -> Result:
    """Return what `elman train` with these options reaches."""
    train, valid = (str(texts.paths[split]) for split in ("train", "valid"))
    began = time.perf_counter()
    subprocess.run(
        [
            sys.executable,
            "-m",
            "elman",
            "train",
            train,
            "--valid",
            valid,
            "-o",
            str(run),
            "--overwrite",
            "-q",
            *options,
        ],
        check=True,
    )
    seconds = time.perf_counter() - began
    model = elman.load(run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    ends = [line for line in lines if line["kind"] == "epoch" and line.get("valid_perplexity")]
    losses = [nats(model, texts.paths[split]) for split in ("valid", "test")]
    return Result(
        name,
        sum(math.prod(weight.shape) for weight in getattr(model.model, "params", [])),
        seconds,
        float(ends[-1]["epoch"]) if ends else 1.0,
        *losses,
        [(line["seconds"], math.log(line["valid_perplexity"])) for line in ends],
    )


def nats(model: Any, path: Path) -> float:
    found = model.evaluate(path)
    return float(found.nll_nats / found.tokens)


class Clock:
    """Seconds of training: it stands still while a model is measured."""

    def __init__(self, limit: float) -> None:
        self.limit, self.seconds, self._since = limit, 0.0, time.perf_counter()

    def running(self) -> bool:
        """Return whether there is time left."""
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now
        return self.seconds < self.limit

    def go_on(self) -> None:
        """Start again after a pause."""
        self._since = time.perf_counter()


def with_lstm(corpus: Corpus, texts: Texts, folder: Path, given: argparse.Namespace) -> Result:
    """Train two LSTM layers in PyTorch by stochastic gradient descent with annealing."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    N, T, H, rate, best = 20, 35, 16 if given.quick else 200, 20.0, math.inf

    class Lstm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.drop = nn.Embedding(texts.V, H), nn.Dropout(0.2)
            self.lstm, self.output = nn.LSTM(H, H, 2, dropout=0.2, batch_first=True), nn.Linear(H, texts.V)
            self.output.weight = self.embedding.weight
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
            nn.init.zeros_(self.output.bias)

        def forward(self, xs: Any, state: Any) -> Any:
            hs, state = self.lstm(self.drop(self.embedding(xs)), state)  # (N, T, H)
            return self.output(self.drop(hs)), tuple(part.detach() for part in state)

    def measure(ids: Ids) -> float:
        model.eval()
        total, state = 0.0, None
        with torch.no_grad():
            for xs, ts in blocks(ids, 1, 500):
                scores, state = model(torch.from_numpy(xs), state)
                total += float(
                    cross_entropy(scores.flatten(0, 1), torch.from_numpy(ts).flatten(), reduction="sum")
                )
        model.train()
        return total / (len(ids) - 1)

    torch.manual_seed(given.seed)
    model, clock, curve, epochs = Lstm(), Clock(0.5 if given.quick else 60 * given.minutes), [], 0.0
    kept = {name: weight.clone() for name, weight in model.state_dict().items()}
    steps = (len(texts.ids["train"]) - 1) // (N * T)
    while clock.running():
        state = None
        for xs, ts in blocks(texts.ids["train"], N, T):
            scores, state = model(torch.from_numpy(xs), state)
            loss = cross_entropy(scores.flatten(0, 1), torch.from_numpy(ts).flatten())
            model.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            with torch.no_grad():
                for weight in model.parameters():
                    weight -= rate * weight.grad
            epochs += 1 / steps
            if not clock.running():
                break
        found = measure(texts.ids["valid"])
        curve.append((clock.seconds, found))
        if found < best:
            best, kept = found, {name: weight.clone() for name, weight in model.state_dict().items()}
        else:
            rate /= 4
        clock.go_on()
    model.load_state_dict(kept)
    return Result(
        "PyTorch LSTM", parameters_of(model), clock.seconds, epochs, best, measure(texts.ids["test"]), curve
    )


def with_transformer(corpus: Corpus, texts: Texts, folder: Path, given: argparse.Namespace) -> Result:
    """Train a small GPT in PyTorch."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention

    N, T, D, heads, layers = 12, 64, 16 if given.quick else 128, 4, 1 if given.quick else 4

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.before, self.between = nn.LayerNorm(D, bias=False), nn.LayerNorm(D, bias=False)
            self.qkv, self.out = nn.Linear(D, 3 * D, bias=False), nn.Linear(D, D, bias=False)
            self.up, self.down = nn.Linear(D, 4 * D, bias=False), nn.Linear(4 * D, D, bias=False)

        def forward(self, x: Any) -> Any:
            n, t, _ = x.shape
            q, k, v = (
                part.view(n, t, heads, D // heads).transpose(1, 2)
                for part in self.qkv(self.before(x)).split(D, -1)
            )
            attended = scaled_dot_product_attention(q, k, v, is_causal=True)  # (n, heads, t, D / heads)
            x = x + self.out(attended.transpose(1, 2).reshape(n, t, D))
            return x + self.down(gelu(self.up(self.between(x))))

    class Gpt(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(texts.V, D), nn.Embedding(T, D)
            self.blocks, self.last = (
                nn.Sequential(*(Block() for _ in range(layers))),
                nn.LayerNorm(D, bias=False),
            )
            self.output = nn.Linear(D, texts.V, bias=False)
            for name, weight in self.named_parameters():
                if weight.ndim == 2:
                    nn.init.normal_(
                        weight,
                        0.0,
                        0.02 / (math.sqrt(2 * layers) if ".out." in name or ".down." in name else 1),
                    )
            self.output.weight = self.tokens.weight

        def forward(self, xs: Any) -> Any:
            x = self.tokens(xs) + self.places.weight[: xs.shape[1]]
            return self.output(self.last(self.blocks(x)))

    def measure(ids: Ids) -> float:
        """Predict every token once, the second half of each window from the first half and what stands before."""
        total = 0.0
        with torch.no_grad():
            for windows, first in half_new_windows(
                ids, T
            ):  # (n, t), of which the targets from `first` on are new
                scores = model(torch.from_numpy(windows[:, :-1]))[:, first:]
                targets = torch.from_numpy(windows[:, 1 + first :])
                total += float(cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="sum"))
        return total / (len(ids) - 1)

    torch.manual_seed(given.seed)
    rng = np.random.default_rng(given.seed)
    model, clock, curve, tokens = Gpt(), Clock(0.5 if given.quick else 60 * given.minutes), [], 0
    matrices = [weight for weight in model.parameters() if weight.ndim == 2]
    gains = [weight for weight in model.parameters() if weight.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARN, betas=(0.9, 0.99))
    train, best = texts.ids["train"], math.inf
    kept = {name: weight.clone() for name, weight in model.state_dict().items()}
    while clock.running():
        done = clock.seconds / clock.limit
        scale = 0.1 + 0.45 * (1 + math.cos(math.pi * max(0.0, done - WARM_UP) / (1 - WARM_UP)))
        for group in optimizer.param_groups:
            group["lr"] = LEARN * min(1.0, done / WARM_UP + 0.01) * scale
        starts = rng.integers(0, len(train) - T, N)
        windows = torch.from_numpy(np.stack([train[start : start + T + 1] for start in starts]))
        loss = cross_entropy(model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        tokens += N * T
        if clock.seconds * POINTS >= clock.limit * (len(curve) + 1) or not clock.running():
            found = measure(texts.ids["valid"][:CURVE_TOKENS])
            curve.append((clock.seconds, found))
            if found < best:
                best, kept = found, {name: weight.clone() for name, weight in model.state_dict().items()}
            clock.go_on()
    model.load_state_dict(kept)
    losses = [measure(texts.ids[split]) for split in ("valid", "test")]
    return Result(
        "PyTorch transformer", parameters_of(model), clock.seconds, tokens / len(train), *losses, curve
    )


def blocks(ids: Ids, N: int, T: int) -> Iterator[tuple[Ids, Ids]]:
    """Yield inputs and targets (N, T) of N sequences that follow on from block to block."""
    length = (len(ids) - 1) // N
    xs, ts = (ids[k : k + N * length].reshape(N, length) for k in (0, 1))
    for first in range(0, length, T):
        yield xs[:, first : first + T].copy(), ts[:, first : first + T].copy()


def half_new_windows(ids: Ids, T: int, together: int = 64) -> Iterator[tuple[Ids, int]]:
    """Yield windows (n, t) of at most T + 1 ids and the first target that no window before had."""
    half, last = T // 2, len(ids) - 1
    whole = [first for first in range(half, last, half) if first + half <= last]
    yield ids[None, : min(half, last) + 1], 0
    for k in range(0, len(whole), together):
        yield np.stack([ids[first - half : first + half + 1] for first in whole[k : k + together]]), half
    rest = whole[-1] + half if whole else half
    if rest < last:
        yield ids[None, rest - half :], half


def parameters_of(model: Any) -> int:
    return sum(weight.numel() for weight in model.parameters())


MODELS: dict[str, Callable[[Corpus, Texts, Path, argparse.Namespace], Result]] = {
    "elman": with_elman,
    "lstm": with_lstm,
    "transformer": with_transformer,
    "5-gram": with_ngrams,
}


def table(corpus: Corpus, results: Sequence[Result]) -> str:
    """Return the results as Markdown, the best on the test text first."""
    rows = [
        [
            result.name,
            f"{result.parameters:,}",
            f"{result.seconds / 60:.1f}",
            f"{result.epochs:.1f}",
            *(f"{loss:.3f} ({math.exp(loss):.2f})" for loss in (result.validation, result.test)),
        ]
        for result in sorted(results, key=lambda result: result.test)
    ]
    head = ["model", "parameters", "minutes", "epochs", "validation: nats per token (perplexity)", "test"]
    return markdown(head, rows)


def draw(corpus: Corpus, results: Sequence[Result], path: Path) -> None:
    """Draw the learning curves by minutes of training; n-grams are a level."""
    figure, axes = new_figure("linear")
    for k, result in enumerate(results):
        if len(result.curve) > 1:
            minutes = [seconds / 60 for seconds, _ in result.curve]
            losses = [loss for _, loss in result.curve]
            axes.plot(minutes, losses, color=COLOURS[k], marker=MARKERS[k], markersize=3, label=result.name)
        else:
            axes.axhline(result.validation, color=COLOURS[k], linestyle="--", label=result.name)
    axes.set_xlabel("minutes of training")
    axes.set_ylabel(f"validation loss in nats per {corpus.level}")
    axes.legend(frameon=False)
    finish(figure, axes)
    save(figure, path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--corpus", choices=CORPORA, default="ptb")
    parser.add_argument("--minutes", type=float, default=28.0, help="of training, for each model")
    parser.add_argument(
        "--models", nargs="+", choices=MODELS, default=list(MODELS), help="all of them unless given"
    )
    parser.add_argument("--recipe", help="of elman's; by default the one of the corpus")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=Path("instead"), help="where the results are")
    given = parser.parse_args(arguments)
    os.environ |= {"OMP_NUM_THREADS": str(given.threads)}
    corpus = CORPORA[given.corpus]
    folder = given.output / given.corpus
    texts = prepared(corpus, folder, given.quick)
    path = given.output / f"{given.corpus}-{'quick' if given.quick else f'{given.minutes:g}min'}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name in given.models:
        kept[name] = asdict(MODELS[name](corpus, texts, folder, given))
        path.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    results = [Result(**result) for result in kept.values()]
    draw(corpus, results, path.with_suffix(".png"))
    print(f"## {given.corpus}, {given.threads} threads\n\n{table(corpus, results)}")


if __name__ == "__main__":
    main()
