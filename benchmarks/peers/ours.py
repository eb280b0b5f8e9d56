"""elman through its public calls: `RnnlmTrainer.fit`, `score_lines`, `target_log_probs`.

Variants: NumPy unless named, "torch" for torch tensors, "bf16" for these with bf16 products.
"""

from elman import RecurrentLM, Vocabulary, make_tokenizer
from elman.backend import NUMPY, Backend
from elman.benchmark import ours as bench
from elman.benchmark.workloads import Peer
from elman.evaluation.line_scores import score_lines
from elman.text_model import TextModel
from inputs import EOS, Inputs
from peers import LINES_A_STEP
from workloads import Workload


def make_model(workload: Workload, inputs: Inputs, variant: str = "") -> RecurrentLM:
    """Return the workload's model, on NumPy or on torch tensors."""
    backend = Backend("torch", "bf16" if variant == "bf16" else "float32") if variant else NUMPY
    return bench.make_model(workload, inputs.weights, backend)


class Lines:
    """Lines of text, as `elman score` scores them."""

    def __init__(self, workload: Workload, inputs: Inputs, variant: str) -> None:
        vocabulary = Vocabulary(inputs.words, eos=EOS)
        self.text_model = TextModel(make_model(workload, inputs, variant), make_tokenizer("word"), vocabulary)
        self.lines, self.place = inputs.lines, 0

    def run(self, steps: int) -> tuple[list[float], int]:
        lines: list[str] = []
        for _ in range(steps):
            lines += self.lines[self.place : self.place + LINES_A_STEP]
            self.place = (self.place + LINES_A_STEP) % len(self.lines)
        scores = list(score_lines(self.text_model, lines))
        parts = [scores[k : k + LINES_A_STEP] for k in range(0, len(scores), LINES_A_STEP)]
        losses = [sum(s.nll_nats for s in part) / sum(s.tokens for s in part) for part in parts]
        return losses, sum(score.tokens for score in scores)


def build(workload: Workload, inputs: Inputs, variant: str) -> Peer:
    if workload.task == "lines":
        return Lines(workload, inputs, variant)
    model = make_model(workload, inputs, variant)
    if workload.task == "train":
        return bench.Training(workload, inputs.ids, model)
    return bench.Words(inputs.ids, model)
