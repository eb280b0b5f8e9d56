"""The progress of a training: log messages, and bars in a terminal or a notebook."""

import contextlib
import logging
import math
import sys
from collections.abc import Callable
from typing import Any

from elman.evaluation.rooms import LOWEST
from elman.language import translate
from elman.training.corpora import RunCorpora
from elman.training.ngram_run import NgramRun
from elman.training.progress import BlockDone, EpochDone, Event, Overfitting, SampleDrawn
from elman.training.run import TrainingRun

logger = logging.getLogger(__name__)
WORTH_SAYING = 500_000_000  # bytes of memory that a training needs


def new_bar(**options: Any) -> Any:
    """Return a progress bar: in a notebook a widget, elsewhere a line that only a terminal shows."""
    from tqdm.auto import tqdm

    in_notebook = any(each.__module__ == "tqdm.notebook" for each in tqdm.__mro__)
    shown = False if in_notebook else None  # None: tqdm asks whether standard error is a terminal
    return tqdm(**{"disable": shown, **options})


def encoding_bar(shown: bool) -> Callable[[int, int], None] | None:
    """Return a callback (bytes done, total) that draws a bar once encoding takes over a second; None if not shown."""
    if not shown:
        return None
    bar: Any = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = new_bar(
                total=total, unit="B", unit_scale=True, desc=translate("encoding"), delay=1, leave=False
            )
        bar.total = total
        bar.update(done - bar.n)
        if done >= total:
            bar.close()
            bar = None

    return show


def log_ngrams(run: NgramRun) -> None:
    """Log the texts of an n-gram model."""
    train = run.corpora.train
    vocabulary = f"vocabulary {len(train.vocabulary):,}"
    logger.info(
        "%s: %s tokens (%ss), %s", run.corpora.name, f"{train.tokens:,}", run.text_model.unit, vocabulary
    )
    _log_validation(run.corpora)


def log_start(run: TrainingRun, resumed: bool) -> None:
    """Log the texts and sizes of a run, and the options that were chosen."""
    about, progress = run.describe(), run.trainer.progress
    logger.info(
        "%s: %s tokens (%ss), vocabulary %s, %s parameters",
        about["corpus"],
        f"{about['tokens']:,}",
        about["unit"],
        f"{about['vocab_size']:,}",
        f"{about['parameters']:,}",
    )
    if (needed := run.memory_needed()) >= WORTH_SAYING:
        amount = f"{needed / 1e9:.1f} GB"
        logger.info("  at least %s of memory, for the weights, their gradients and the optimizer", amount)
    _log_validation(run.corpora)
    if resumed and progress.iteration:
        logger.info("resuming after iteration %d (epoch %d)", progress.iteration, progress.epoch + 1)
    log_choice(run)


def log_choice(run: TrainingRun) -> None:
    """Log the options that were chosen, if any were."""
    for line in run.choice.lines() if run.choice is not None else ():
        logger.info("%s", line)


def _log_validation(corpora: RunCorpora) -> None:
    if corpora.held_out and corpora.valid is not None:
        logger.info("  held out for validation: the %s tokens after these", f"{corpora.valid.tokens:,}")
    if corpora.warning:
        logger.warning("%s", corpora.warning)
    for name, perplexity in corpora.references.items():
        logger.info("  %s perplexity on the validation text: %.4f", name, perplexity)


def overfitting_line(found: Overfitting) -> str:
    """Describe overfitting, and what may help."""
    return (
        f"overfitting since epoch {found.best_epoch + 1}: validation {found.best_valid_perplexity:.1f} → "
        f"{found.valid_perplexity:.1f} while training fell {found.best_training_perplexity:.1f} → "
        f"{found.training_perplexity:.1f}; the model of epoch {found.best_epoch} is kept; "
        "try `dropout`, `weight_decay`, a smaller model or `patience=3`"
    )


class ProgressDisplay:
    """Callback for training events: logs every epoch, overfitting and samples; ``shown`` adds a progress bar.

    Messages and the bar share the screen: while there is a bar, what `logging` writes there appears above it.
    """

    def __init__(self, run: TrainingRun, shown: bool) -> None:
        self.run, self.shown = run, shown

    def __enter__(self) -> "ProgressDisplay":
        config, progress = self.run.config, self.run.trainer.progress
        self._start = progress.seconds
        self._tokens = 0
        self._open = contextlib.ExitStack()
        self.bar: Any = None
        if self.shown:
            blocks = (self.run.corpora.train.tokens - 1) // (config.batch_size * config.time_size)
            blocks //= config.accumulate
            total = min(config.epochs * blocks, config.iterations or math.inf)
            self.bar = self._open.enter_context(
                contextlib.closing(
                    new_bar(
                        total=int(total),
                        initial=progress.iteration,
                        unit=translate("block"),
                        dynamic_ncols=True,
                    )
                )
            )
            if not self.bar.disable:
                self._open.enter_context(_logging_above_bars())
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):  # the terminal is closed
            self._open.close()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, BlockDone):
            self._show_block(event)
        elif isinstance(event, EpochDone):
            self._log_epoch(event)
        elif isinstance(event, Overfitting):
            logger.info("%s", overfitting_line(event))
        elif isinstance(event, SampleDrawn) and self.run.config.sample_every:
            title = f"---- iteration {event.iteration}, smooth loss {event.smooth_loss:.4f} ----"
            logger.info("%s\n%s\n----", title, event.text)

    def _show_block(self, event: BlockDone) -> None:
        if self.bar is None:
            return
        self._tokens += event.tokens
        self.bar.update(1)
        if event.iteration % 20 == 0:
            recent = self.run.trainer.progress.recent_nll or 0.0
            speed = self._tokens / max(event.seconds - self._start, 1e-9)
            text = f"perplexity {math.exp(recent):.2f}, {speed:,.0f} tokens/s"
            self.bar.set_postfix_str(translate(text), refresh=False)

    def _log_epoch(self, event: EpochDone) -> None:
        valid = "" if event.valid_perplexity is None else f", validation {event.valid_perplexity:.3f}"
        lowest = self.run.corpora.references.get(LOWEST)
        valid += "" if lowest is None else f" ({LOWEST} {lowest:.3f})"
        logger.info(
            "epoch %d: perplexity %.3f%s%s (learning rate %.3g, %.1f s)",
            event.epoch,
            event.perplexity,
            valid,
            " *" if event.improved else "",
            event.lr,
            event.seconds,
        )


def _logging_above_bars() -> contextlib.AbstractContextManager[None]:
    """Within the block, loggers whose handlers write to the screen write above the bar."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    def on_screen(handler: logging.Handler) -> bool:
        return isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stdout, sys.stderr)

    loggers = [
        each
        for each in (logging.getLogger(), logging.getLogger("elman"))
        if any(map(on_screen, each.handlers))
    ]
    above: contextlib.AbstractContextManager[None] = (
        logging_redirect_tqdm(loggers) if loggers else contextlib.nullcontext()
    )
    return above
