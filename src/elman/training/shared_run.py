"""A run that several ranks train together: rank 0 makes or resumes it, and the others read it from the same folder."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from elman.errors import ElmanError, FailedElsewhere, RunError
from elman.formats.run_files import CONFIG_NAME, run_file
from elman.training.ranks import Ranks, division, first_difference
from elman.training.run import TrainingRun

logger = logging.getLogger(__name__)
Begun = AbstractContextManager[tuple[Path, TrainingRun | None]]
BEFORE = "run-before"  # what the folder held when the job began


def is_own_run(ranks: Ranks, folder: Path) -> bool:
    """Return whether these ranks have made the run in ``folder``, and been started again since. Rank 0 calls it."""
    before, now = ranks.recall(BEFORE), _stamp(folder)
    if before is None:
        ranks.remember(BEFORE, now)
    return before is not None and before != now


def started_again(ranks: Ranks) -> bool:
    """Return whether the job has begun on its run before. Rank 0 calls it."""
    again = ranks.recall(BEFORE) is not None
    ranks.remember(BEFORE, "resumed")
    return again


def _stamp(folder: Path) -> str:
    """Return what changes whenever another run takes the place of that in ``folder``."""
    try:
        status = run_file(folder, CONFIG_NAME).stat()
    except OSError:
        return "none"
    return f"{status.st_mtime_ns} {status.st_ino}"


@contextlib.contextmanager
def shared_run(ranks: Ranks, folder: Path, begin: Callable[[], Begun]) -> Iterator[TrainingRun]:
    """Yield the run in ``folder``, ready to be trained by all ranks; rank 0 has made or resumed it by ``begin``.

    Raises:
        FailedElsewhere: another rank has failed, and says why.
        RunError: this rank does not see the run, or the ranks differ in versions, options, texts or weights.
        ElmanError: see ``begin``.
    """
    with contextlib.ExitStack() as held:
        found: list[TrainingRun | None] = []

        def make() -> None:
            if ranks.first:
                found.append(held.enter_context(begin())[1])

        def join() -> dict[str, Any]:
            if not ranks.first:
                try:
                    found.append(TrainingRun.read(folder, lambda done, total: ranks.beat()))
                except ElmanError as error:
                    raise RunError(
                        f"rank {ranks.rank} of {ranks.size}: {error}; all ranks must see the same folder "
                        f"({folder.absolute()})"
                    ) from error
            (run,) = found
            assert run is not None
            return run.digest()

        ranks.together(make)
        difference = first_difference(ranks.together(join))
        if difference is not None:
            if not ranks.first:
                raise FailedElsewhere(difference)
            raise RunError(f"{difference}; all ranks must have the same elman, and see the same files")
        (run,) = found
        assert run is not None
        run.trainer.share(ranks)
        if ranks.first and ranks.size > 1:
            logger.info("%s", division(ranks.size, run.config.batch_size))
        yield run
