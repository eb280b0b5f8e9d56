"""Progress on standard error: bars while a text is encoded and a model trains, a line per epoch, samples."""

import math
import sys
from collections.abc import Callable
from typing import Any

from elman.evaluation.rooms import LOWEST
from elman.training.progress import BlockDone, EpochDone, Event, Overfitting, SampleDrawn
from elman.training.run import TrainingRun


def encoding_bar(quiet: bool) -> Callable[[int, int], None] | None:
    """Return a callback (bytes done, total) that draws a bar on a terminal, once encoding takes over a second."""
    if quiet:
        return None
    from tqdm import tqdm

    bar: Any = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(
                total=total, unit="B", unit_scale=True, desc="encoding", delay=1, leave=False, disable=None
            )
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()
            bar = None

    return show


def overfitting_line(found: Overfitting) -> str:
    """Describe overfitting, and what may help."""
    return (
        f"overfitting since epoch {found.best_epoch + 1}: validation {found.best_valid_perplexity:.1f} → "
        f"{found.valid_perplexity:.1f} while training fell {found.best_training_perplexity:.1f} → "
        f"{found.training_perplexity:.1f}; the model of epoch {found.best_epoch} is kept; "
        "try --dropout, --weight-decay, a smaller model or --patience 3"
    )


class ProgressDisplay:
    """Callback for training events: shows a progress bar, a line per epoch, and samples."""

    def __init__(self, run: TrainingRun, quiet: bool) -> None:
        self.run, self.quiet = run, quiet

    def __enter__(self) -> "ProgressDisplay":
        from tqdm import tqdm

        config, progress = self.run.config, self.run.trainer.progress
        blocks = (self.run.corpora.train.tokens - 1) // (config.batch_size * config.time_size)
        total = min(config.epochs * blocks, config.iterations or math.inf)
        self.bar = tqdm(
            total=int(total),
            initial=progress.iteration,
            unit="block",
            disable=self.quiet or None,
            dynamic_ncols=True,
        )
        self._start = progress.seconds
        self._tokens = 0
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, BlockDone):
            self._show_block(event)
        elif isinstance(event, EpochDone):
            self._show_epoch(event)
        elif isinstance(event, Overfitting) and not self.quiet:
            self.bar.write(overfitting_line(event), file=sys.stderr)
        elif isinstance(event, SampleDrawn):
            self._show_sample(event)

    def _show_block(self, event: BlockDone) -> None:
        self._tokens += event.tokens
        self.bar.update(1)
        if event.iteration % 20 == 0:
            recent = self.run.trainer.progress.recent_nll or 0.0
            speed = self._tokens / max(event.seconds - self._start, 1e-9)
            self.bar.set_postfix_str(
                f"perplexity {math.exp(recent):.2f}, {speed:,.0f} tokens/s", refresh=False
            )

    def _show_epoch(self, event: EpochDone) -> None:
        if self.quiet:
            return
        valid = "" if event.valid_perplexity is None else f", validation {event.valid_perplexity:.3f}"
        lowest = self.run.corpora.references.get(LOWEST)
        valid += "" if lowest is None else f" ({LOWEST} {lowest:.3f})"
        self.bar.write(
            f"epoch {event.epoch}: perplexity {event.perplexity:.3f}{valid}{' *' if event.improved else ''} "
            f"(learning rate {event.lr:.3g}, {event.seconds:.1f} s)",
            file=sys.stderr,
        )

    def _show_sample(self, event: SampleDrawn) -> None:
        if self.quiet or not self.run.config.sample_every:
            return
        title = f"---- iteration {event.iteration}, smooth loss {event.smooth_loss:.4f} ----"
        self.bar.write(f"{title}\n{event.text}\n----", file=sys.stderr)
