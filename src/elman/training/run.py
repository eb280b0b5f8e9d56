"""A training run, tied to a folder: its options, its best model, its last checkpoint and its metrics."""

import contextlib
import hashlib
import logging
import math
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from elman.arrays import to_numpy
from elman.backend import Backend
from elman.errors import ConfigError, FailedElsewhere, ModelFileError, RunError, TextError
from elman.formats.metrics_log import Metrics, read_metrics
from elman.formats.model_file import (
    LAST_NAME,
    MODEL_NAME,
    Arrays,
    build_model,
    describe,
    reading_description,
    write_arrays,
)
from elman.formats.run_files import CONFIG_NAME, METRICS_NAME, writing_run
from elman.formats.versions import versions
from elman.generation import Sampler, generate
from elman.layers.sampled import TimeSampledSoftmaxWithLoss
from elman.models.clusters import count_ids
from elman.models.tokenized import TokenizedModel
from elman.text.tokenizers import make_tokenizer
from elman.text.vocabulary import Vocabulary
from elman.text_model import TextModel
from elman.training.advice import warn_about
from elman.training.averaging import averaging_of
from elman.training.batches import Minibatches, fitting_block
from elman.training.budget import Task
from elman.training.budget_choice import Choice, choose, seconds_per_token
from elman.training.config import Config
from elman.training.corpora import Progress as EncodingProgress
from elman.training.corpora import RunCorpora, absolute_source, check_valid, load_corpora
from elman.training.model_options import (
    Network,
    changed_options,
    check_options,
    new_model,
    regularisation_of,
)
from elman.training.optimizers import OPTIMIZERS
from elman.training.origin import origin_of
from elman.training.progress import (
    BlockDone,
    EpochDone,
    Event,
    IntervalDone,
    OverfittingWatch,
    SampleDrawn,
    SampleTimer,
    events_in,
)
from elman.training.ranks import Ranks
from elman.training.run_folder import (
    check_same,
    load_checkpoint,
    new_run_folder,
    read_stored,
    restore,
    save_checkpoint,
    trained_options,
    weights_are_finite,
    with_changes,
    write_stored,
)
from elman.training.schedules import SCHEDULES
from elman.training.text_places import check_texts, current_places
from elman.training.trainer import RnnlmTrainer, updates_per_epoch
from elman.training.warm_start import WarmStart

logger = logging.getLogger(__name__)
_NO_RUN = f"{{}} holds no run to resume: {CONFIG_NAME} or {LAST_NAME} is missing"
COMPARED = 1 << 16  # ids at each end of the text that are compared between ranks
EPOCH_WORTH_SAVING = 1.0  # seconds since the last checkpoint after which the end of an epoch makes another


class TrainingRun:
    """A training run in its folder. Make one with `create` or `resume`, then call `train`.

    `train` writes ``model.safetensors`` whenever the perplexity is the best so far, ``last.safetensors`` from
    time to time (`resume` continues from it bit for bit), and ``metrics.jsonl`` continuously.
    """

    def __init__(self, folder: Path, config: Config, corpora: RunCorpora, model: Network) -> None:
        self.folder, self.config, self.corpora = folder, config, corpora
        vocabulary = corpora.train.vocabulary
        info = {**origin_of(corpora, config), "seed": config.seed}
        start: Literal["eos", "empty"] = "empty" if config.wrap == "restart" else "eos"
        self.text_model = TextModel(model, corpora.tokenizer, vocabulary, info, start)
        if config.softmax == "sampled":
            counts = count_ids(corpora.train.ids, model.vocab_size)
            model.loss_layer = TimeSampledSoftmaxWithLoss(
                model.loss_layer, counts, config.candidates, model.dropout_rng
            )
        optimizer = OPTIMIZERS[config.optimizer](lr=config.lr, weight_decay=config.weight_decay)
        self.trainer = RnnlmTrainer(model, optimizer)
        self.trainer.schedule = SCHEDULES[config.schedule]()
        self.trainer.averaging = averaging_of(config)
        self.metrics = Metrics(folder / METRICS_NAME)
        self.overfitting = OverfittingWatch()
        self.samples = SampleTimer(config.sample_every)
        self.choice: Choice | None = None  # set where `create` chose options
        self._saved_at = 0.0  # by the training's clock, which all ranks share
        self._saved_iteration = 0
        self._best: tuple[Arrays, dict[str, Any]] | None = None  # the best model while it is not in its file

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r}, {self.text_model.model!r})"

    @classmethod
    def create(
        cls,
        folder: str | Path,
        corpus: str | Path,
        config: Config,
        *,
        valid: str | Path | None = None,
        allow_overlap: bool = False,
        overwrite: bool = False,
        on_encoding: EncodingProgress | None = None,
        held: Collection[str] | None = None,
        init_from: str | Path | TokenizedModel | None = None,
        extend_vocab: bool = False,
        given: Collection[str] = (),
    ) -> "TrainingRun":
        """Start a run in ``folder``: read the corpus, draw or take over the weights, write the options.

        Args:
            folder: is made if it does not exist.
            corpus: a file, a folder or a named corpus.
            config: the options.
            valid: the validation text, see `load_corpora`.
            allow_overlap: see `check_valid`.
            overwrite: replace a run that the folder already holds.
            on_encoding: called with the bytes read so far and their total.
            held: names of options to keep; all others are then chosen for the time budget, from the measured speed
                of this machine (measuring counts towards the budget). ``choice`` reports what was chosen.
            init_from: a model, its file or its run folder to start from: architecture, tokenizer, vocabulary and
                weights are taken over; the state of its optimizer is not.
            extend_vocab: with ``init_from``, add the tokens of the text that the model lacks to its vocabulary,
                within ``min_count`` and ``max_vocab``.
            given: names of the options that the user set. A ``batch_size`` or ``time_size`` among them must fit the
                text; others shrink to a shorter text (see ``config``). With ``init_from`` none may contradict
                the model.

        Raises:
            RunError: the folder already holds a run and ``overwrite`` is not set, or cannot be written.
            ElmanError: the corpus cannot be read, or the options do not fit it or the model to start from.
        """
        folder, corpus = Path(folder), str(corpus)
        valid = None if valid is None else str(valid)
        start = None if init_from is None else WarmStart.of(init_from, extend_vocab)
        if start is not None:
            config = start.options(config, {*given, *changed_options(config)})
            if held is not None:
                raise ConfigError("no options can be chosen for a model to start from; leave out `choose`")
        elif extend_vocab:
            raise ConfigError(
                "`extend_vocab` applies only to a model to start from; name one with `init_from`"
            )
        if config.model == "ngram":
            raise ConfigError("n-gram models are counted, not trained; use train_ngram, not TrainingRun")
        if start is None:
            check_options(config)
        sources: dict[str, Any] = {
            "corpus": absolute_source(corpus),
            "valid": absolute_source(valid) if valid else "",
            "folder": str(folder.absolute()),
        }
        backend = Backend(config.backend, config.precision, config.device)
        with new_run_folder(folder, {**sources, "options": config.to_dict()}, overwrite) as staged:
            load = load_corpora if start is None else start.corpora
            corpora = load(corpus, valid, config, folder, on_encoding)
            corpora = check_valid(corpora, valid, config, allow_overlap)
            ids, vocab_size = corpora.train.ids, len(corpora.train.vocabulary)
            choice = None
            config = _with_fitting_block(config, corpora.train.tokens, given, held)
            try:
                if held is not None:
                    choice = choose(
                        Task.of(config, held, corpora),
                        lambda trial, seconds: seconds_per_token(
                            cls(staged, trial, corpora, new_model(trial, ids, vocab_size, backend)).trainer,
                            trial,
                            ids,
                            seconds,
                        ),
                    )
                    config = choice.config
                if start is not None:
                    sources["init_from"] = start.record(corpora.train.vocabulary)
                sources["versions"] = versions()
                write_stored(staged / CONFIG_NAME, {**sources, "options": config.to_dict()})
                # raises TextError now if the text is too short
                blocks = Minibatches(ids[:-1], ids[1:], config.batch_size, config.time_size, config.wrap)
                updates_per_epoch(blocks, config.accumulate)
            except TextError as error:
                raise TextError(f"{corpus}: {error}") from error
            if start is None:
                run = cls(staged, config, corpora, new_model(config, ids, vocab_size, backend))
            else:
                vocabulary = corpora.train.vocabulary
                run = cls(staged, config, corpora, start.model(vocabulary, config, backend))
                run.text_model.info["init_from"] = sources["init_from"]
            run.trainer.progress.smooth_loss = config.time_size * math.log(vocab_size)
            if choice is not None:
                run.choice, run.trainer.progress.seconds = choice, choice.seconds
            else:
                warn_about(corpora, config, valid)
            run.metrics.write("start", **run.describe())
            run.save()
        run.folder, run.metrics.path = folder, folder / METRICS_NAME
        return run

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        changes: dict[str, Any] | None = None,
        on_encoding: EncodingProgress | None = None,
        corpus: str | None = None,
        valid: str | None = None,
    ) -> "TrainingRun":
        """Continue the run in ``folder`` from its last checkpoint; ``changes`` may set new limits.

        ``corpus`` and ``valid`` are the new places of texts that have moved (see `current_places`).

        Raises:
            RunError: there is no run, another process writes there, its options cannot be read, or one of its texts has
                changed.
            TextError: one of its texts cannot be found.
            ConfigError: an option changes that may not.
            ModelFileError: the checkpoint is damaged, or belongs to another run.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise RunError(_NO_RUN.format(folder))
        with writing_run(folder):
            return cls._resumed(folder, changes or {}, on_encoding, corpus, valid)

    @classmethod
    def read(cls, folder: str | Path, on_encoding: EncodingProgress | None = None) -> "TrainingRun":
        """Return the run in ``folder`` as its last checkpoint describes it, for a rank that does not write there.

        Raises:
            ElmanError: see `resume`.
        """
        return cls._resumed(Path(folder), {}, on_encoding, None, None, write=False)

    @classmethod
    def _resumed(
        cls,
        folder: Path,
        changes: dict[str, Any],
        on_encoding: EncodingProgress | None,
        corpus: str | None,
        valid: str | None,
        write: bool = True,
    ) -> "TrainingRun":
        path = folder / CONFIG_NAME
        stored = read_stored(path) if path.is_file() else None
        if stored is not None and stored["options"].get("model") == "ngram":
            raise RunError(f"{folder} holds an n-gram model, which is complete; start a new run")
        if stored is None or not (folder / LAST_NAME).is_file():
            raise RunError(_NO_RUN.format(folder))
        config = with_changes(stored["options"], changes, path)
        last = folder / LAST_NAME
        backend = Backend(config.backend, config.precision, config.device)
        regularisation = regularisation_of(config)
        checkpoint = load_checkpoint(last)
        with reading_description(last):
            model = build_model(checkpoint.arrays, checkpoint.about, last, backend, regularisation)
            vocabulary = Vocabulary.from_json(checkpoint.about["vocabulary"])
            info = dict(checkpoint.about["info"])
            description = dict(checkpoint.about["tokenizer"])
            tokenizer = make_tokenizer(**description)
        check_same(checkpoint.begun.get("options", {}), config, path)
        of_model = {"level": description["level"], "lower": description["lower"]}
        check_same(
            trained_options(config, model) | of_model, config, path
        )  # older checkpoints lack the options
        places = current_places(stored, folder, info, corpus, valid)
        if places["corpus"] != stored["corpus"]:
            info["corpus"] = places["corpus"]
        corpora = load_corpora(
            places["corpus"], places["valid"] or None, config, folder, on_encoding, vocabulary, tokenizer
        )
        check_texts(corpora, places, folder, info, checkpoint.begun.get("validation"))
        run = cls(folder, config, corpora, model)
        run.text_model.info |= info
        with reading_description(last):
            restore(checkpoint, run.trainer)
            run._saved_iteration = run.trainer.progress.iteration
            if not write:
                return run
            run.metrics.cut(checkpoint.training["metrics_bytes"])
        with contextlib.suppress(RunError):  # damaged metrics do not prevent resuming
            lines = read_metrics(folder)
            for event in events_in(lines, EpochDone):
                run.overfitting.epoch(event)
            now, recorded = versions(model), [line["versions"] for line in lines if "versions" in line]
            if recorded and recorded[-1] != now:  # the last digits may be others from here on
                run.metrics.write("versions", versions=now)
        if changes or places != stored:
            write_stored(path, {**places, "options": config.to_dict()})
        return run

    def describe(self) -> dict[str, Any]:
        """Return the corpus, sizes, options and versions as plain data: the first line of the metrics."""
        train, model = self.corpora.train, self.trainer.model
        return {
            "corpus": self.corpora.name,
            "tokens": train.tokens,
            "vocab_size": len(train.vocabulary),
            "unit": self.text_model.unit,
            "parameters": sum(math.prod(p.shape) for p in model.params),
            "references": self.corpora.references,
            "options": self.config.to_dict(),
            "versions": versions(model),
        }

    def memory_needed(self) -> int:
        """Return the bytes of the weights, the gradients and what the optimizer keeps for every weight.

        The arrays of a block, which depend on its size, come on top.
        """
        weights: int = sum(p.nbytes for p in self.trainer.model.params)
        return weights * (2 + len(self.trainer.optimizer.slots))

    @property
    def finished(self) -> bool:
        """Whether a limit is reached: of epochs, iterations, time or patience."""
        config, progress = self.config, self.trainer.progress
        return (
            progress.epoch >= config.epochs
            or 0 < config.iterations <= progress.iteration
            or 0 < config.time_budget <= progress.seconds
            or 0 < config.patience <= progress.epochs_without_gain
        )

    @property
    def ranks(self) -> Ranks:
        """The ranks that train this run together."""
        return self.trainer.ranks

    def digest(self) -> dict[str, Any]:
        """Return what must be the same on all ranks: versions, options, texts, vocabulary and weights."""
        ids, vocabulary = self.corpora.train.ids, self.corpora.train.vocabulary
        parts = {
            "vocabulary": [msgspec.json.encode(vocabulary.to_json())],
            "text": [np.asarray(part, np.int64).tobytes() for part in (ids[:COMPARED], ids[-COMPARED:])],
            "weights": [np.ascontiguousarray(to_numpy(p)).tobytes() for p in self.trainer.model.params],
        }
        made = {"elman": versions(self.trainer.model)["elman"], "options": self.config.to_dict()}
        made["tokens"] = len(ids)
        return made | {name: hashlib.sha256(b"".join(part)).hexdigest() for name, part in parts.items()}

    def train(self, on_event: Callable[[Event], None] = lambda event: None) -> None:
        """Train until a limit is reached or `stop` is called; the last checkpoint is written in either case.

        Raises:
            TrainingDiverged: the loss exploded; the last good checkpoint stays.
            RunError: another process writes to the folder; or the last checkpoint could not be written, and the one
                before it stays.
        """
        with writing_run(self.folder) if self.ranks.first else contextlib.nullcontext():
            self._train(on_event)

    def _train(self, on_event: Callable[[Event], None]) -> None:
        config, ids = self.config, self.corpora.train.ids
        valid = self.corpora.valid

        def draw() -> None:
            if (drawn := self._draw_sample()) is not None:
                on_event(drawn)

        def watch(event: Event) -> None:
            if isinstance(event, BlockDone) and self.samples.due(event.iteration):
                draw()
            self._record(event)
            on_event(event)
            if isinstance(event, EpochDone) and (found := self.overfitting.epoch(event)) is not None:
                self.metrics.write("overfitting", **asdict(found))
                on_event(found)

        self._saved_at = self.trainer.progress.seconds
        self.samples.start()
        if self.ranks.first and self.samples.every and self.trainer.progress.iteration == 0:
            draw()
        self.trainer.fit(
            ids[:-1],
            ids[1:],
            config.epochs - self.trainer.progress.epoch,
            config.batch_size,
            config.time_size,
            config.clip_norm or None,
            config.report_every or 100,
            max_value=config.clip_value or None,
            reduction=config.reduction,
            wrap=config.wrap,
            fresh_at=self.text_model.start_id if config.fresh_lines else None,
            accumulate=config.accumulate,
            max_iterations=config.iterations or None,
            time_budget=config.time_budget or None,
            valid=None if valid is None else valid.ids,
            eos=self.text_model.start_id,
            patience=config.patience or None,
            on_event=watch if self.ranks.first else self._save_when_due,
        )
        if self.ranks.first and self.samples.due_at_end(self.trainer.progress.iteration, self.finished):
            draw()
        try:
            self.save()
        except FailedElsewhere:
            raise
        except (ModelFileError, RunError) as error:
            raise RunError(
                f"{error}; the weights of iteration {self.trainer.progress.iteration} are lost, those of iteration "
                f"{self._saved_iteration} are in {self.folder / LAST_NAME}: free some space, and continue from there "
                "with `resume=True`"
            ) from error

    def stop(self) -> None:
        """Make `train` return after the current block, with everything saved."""
        self.trainer.stop()

    def save(self) -> None:
        """Write the checkpoint; if a weight is not finite, keep the older one instead.

        All that it relies on, the metrics and the best model, is on the disk before it. Every rank calls this; the
        first one writes.

        Raises:
            RunError, ModelFileError: a file cannot be written; the older checkpoint stays.
        """
        self._saved_at = self.trainer.progress.seconds
        if not weights_are_finite(self.trainer.model):
            return
        carried = self.trainer.carried_state()
        seconds = self.ranks.together(lambda: self._write(carried) if self.ranks.first else 0.0)
        self._saved_at += seconds[0]
        self._saved_iteration = self.trainer.progress.iteration

    def _write(self, carried: Any) -> float:
        """Write the checkpoint, with the state that all sequences carry; return the seconds that it took."""
        began = time.monotonic()
        self.metrics.sync()
        self._write_best()
        begun = {"options": self.config.to_dict(), "validation": self.corpora.validation}
        path, size = self.folder / LAST_NAME, self.metrics.size
        save_checkpoint(path, self.text_model, self.trainer, begun, carried=carried, metrics_bytes=size)
        return time.monotonic() - began

    def _try_to_save(self) -> None:
        """Write the checkpoint, or warn: training continues, and the next checkpoint is another chance."""
        try:
            self.save()
        except (ModelFileError, RunError) as error:
            logger.warning(
                "%s; training continues, and tries again in %.0f s", error, self.config.checkpoint_every
            )

    def sample(self, length: int) -> str:
        """Return text sampled from the current model, after what sequence 0 has read and the token it reads next.

        The result depends on the seed and the iteration only; the training state is not changed.
        """
        model, progress = self.trainer.model, self.trainer.progress
        carried = model.carried_state()
        state = model.start() if carried is None else carried.select([0])
        ids = self.corpora.train.ids
        first = int(ids[progress.position % (len(ids) - 1)])
        state = model.feed(np.array([[first]]), state)
        rng = np.random.default_rng([self.config.seed, progress.iteration])
        drawn = generate(model, state, Sampler(), rng, length)
        return self.text_model.tokenizer.join(self.text_model.vocabulary.decode(list(drawn)))

    def _draw_sample(self) -> SampleDrawn | None:
        """Draw a sample and write it to the metrics; None where a weight is not finite."""
        progress = self.trainer.progress
        if not weights_are_finite(self.trainer.model):
            return None
        self.samples.drawing()
        text = self.sample(self.config.sample_length)
        self.samples.drawn(progress.iteration)
        found = SampleDrawn(progress.iteration, progress.smooth_loss or 0.0, text)
        self.metrics.write("sample", **asdict(found))
        return found

    def _record(self, event: Event) -> None:
        """Write metrics, save the best model, and save a checkpoint when one is due."""
        if isinstance(event, IntervalDone):
            self.metrics.write("interval", **asdict(event))
        elif isinstance(event, EpochDone):
            self.metrics.write("epoch", **asdict(event))
            if event.improved:
                self._keep_best(event)
        self._save_when_due(event)

    def _save_when_due(self, event: Event) -> None:
        """Write a checkpoint after a block if the last one is old enough; all ranks agree on that."""
        if isinstance(event, BlockDone):
            epoch_just_over = self.trainer.progress.block_in_epoch == 0
            due = (
                min(EPOCH_WORTH_SAVING, self.config.checkpoint_every)
                if epoch_just_over
                else self.config.checkpoint_every
            )
            if self.trainer.progress.seconds - self._saved_at >= due:
                self._try_to_save()

    def _keep_best(self, event: EpochDone) -> None:
        measured = event.perplexity if event.valid_perplexity is None else event.valid_perplexity
        if math.isfinite(measured):
            best = {"epoch": event.epoch, "iteration": event.iteration, "perplexity": measured}
            self.text_model.info["best"] = best
            with self.trainer.averaging.applied(self.trainer.model.params):
                self._best = describe(self.text_model)
                try:
                    self._write_best()
                except ModelFileError as error:  # the weights change, so what is to be written is copied
                    arrays, about = self._best
                    self._best = {name: np.array(to_numpy(array)) for name, array in arrays.items()}, about
                    logger.warning("%s; it is kept in memory and written with the next checkpoint", error)

    def _write_best(self) -> None:
        """Write the best model if it has not been written yet. Raises ModelFileError."""
        if self._best is not None:
            write_arrays(self.folder / MODEL_NAME, *self._best)
            self._best = None


def _with_fitting_block(
    config: Config, tokens: int, given: Collection[str], held: Collection[str] | None
) -> Config:
    """Return the options with a block that is no longer than the text; see `TrainingRun.create`."""
    if held is not None and not {"batch_size", "time_size"} & set(held):
        return config  # both are chosen to fit
    batch_size, time_size = fitting_block(tokens, config.batch_size, config.time_size, given, config.wrap)
    if (batch_size, time_size) != (config.batch_size, config.time_size):
        logger.info(
            "the text of %s tokens is shorter than a block of %s × %s: training on blocks of %s × %s "
            "(`batch_size=%s`, `time_size=%s`)",
            *(f"{tokens:,}", config.batch_size, config.time_size),
            *(batch_size, time_size, batch_size, time_size),
        )
    return msgspec.structs.replace(config, batch_size=batch_size, time_size=time_size)
