"""Overfitting as a training goes on: the validation perplexity rises while that of the training text falls."""

from elman.training.progress import EpochDone, Overfitting

RISES = 2  # epochs in a row
MARGIN = 1.01  # times the best perplexity: less may be chance


class OverfittingWatch:
    """Is told of every epoch; ``found`` is what it has seen since the best one, None where all is well."""

    def __init__(self) -> None:
        self.found: Overfitting | None = None
        self._best: EpochDone | None = None
        self._last: EpochDone | None = None
        self._rises = 0

    def epoch(self, event: EpochDone) -> Overfitting | None:
        """Return what is to be said after this epoch: once for every best one, else None.

        A validation perplexity that has risen in the last two epochs or more, to 1 % above the best or
        higher, is overfitting if the training perplexity fell meanwhile.
        """
        valid = event.valid_perplexity
        if valid is None:
            return None
        best, last, self._last = self._best, self._last, event
        if best is None or best.valid_perplexity is None or not valid >= best.valid_perplexity:
            self.found, self._best, self._rises = None, event, 0
            return None
        rose = last is not None and last.valid_perplexity is not None and valid > last.valid_perplexity
        fell = last is not None and event.perplexity < last.perplexity
        self._rises = self._rises + 1 if rose and fell else 0
        started = self._rises >= RISES and valid >= MARGIN * best.valid_perplexity
        if self.found is None and not (started and event.perplexity < best.perplexity):
            return None
        first = self.found is None
        self.found = Overfitting(
            best.epoch, event.epoch, best.perplexity, event.perplexity, best.valid_perplexity, valid
        )
        return self.found if first else None
