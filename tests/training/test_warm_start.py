"""Starting a run from an existing model: what is taken over, what may change, and what a new token begins with."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from elman.errors import ConfigError, ModelFileError, TextError
from elman.evaluation.perplexity import evaluate
from elman.formats.torch_file import read_torch, write_torch
from elman.layers.dropout import WeightDropout
from elman.models.adaptive.cache import CachedModel
from elman.models.mixture import Mixture
from elman.models.ngram.model import NgramModel
from elman.text.vocabulary import UNK, Vocabulary
from elman.text_model import load
from elman.training.config import Config, read_toml
from elman.training.ngram_run import train_ngram
from elman.training.progress import BlockDone
from elman.training.run import TrainingRun
from elman.training.warm_start import WarmStart, extended
from support.runs import in_parts, new_run, without_seconds
from support.tiny import STORY, text_model

OTHER = STORY.replace("tom", "tim").replace("garden", "cellar")  # two new words
KINDS: list[dict[str, Any]] = [
    {"cell": "rnn"},
    {"cell": "lstm", "layers": 2, "dropout": 0.3},
    {"cell": "gru"},
    {"cell": "gru", "wordvec": 0},
    {"cell": "lstm", "wordvec": 6, "tie_weights": True},
    {"model": "cbow", "window": 3},
    {"model": "nplm", "window": 2},
    {"model": "nplm", "window": 2, "wordvec": 6, "tie_weights": True},
]
TRAINING = {"batch_size": 2, "time_size": 4, "epochs": 2, "report_every": 5, "checkpoint_every": 1e9}


def kind_name(options: dict[str, Any]) -> str:
    return "-".join(map(str, options.values()))


def trained(folder: Path, **options: Any) -> TrainingRun:
    """Return a finished short run on STORY."""
    run = new_run(folder, **{"lr": 0.02, "epochs": 4, **options})
    run.train()
    return run


def started(
    folder: Path, init_from: Any, text: str = OTHER, extend_vocab: bool = False, **options: Any
) -> TrainingRun:
    """Return a new run on a text that starts from a model."""
    corpus = folder.parent / f"{folder.name}.txt"
    corpus.write_text(text, encoding="utf-8")
    config = Config.of({**TRAINING, **options}, "this test")
    return TrainingRun.create(folder, str(corpus), config, init_from=init_from, extend_vocab=extend_vocab)


def first_loss(run: TrainingRun) -> float:
    """Return the loss of the first block in nats."""
    losses: list[float] = []

    def watch(event: Any) -> None:
        if isinstance(event, BlockDone):
            losses.append(event.loss_nats)
            run.stop()

    run.train(watch)
    return losses[0]


@pytest.mark.parametrize("options", KINDS, ids=kind_name)
def test_the_first_block_has_the_loss_of_the_old_model(tmp_path: Path, options: dict[str, Any]) -> None:
    old = trained(tmp_path / "old", **options)
    run = started(tmp_path / "new", old.folder, STORY)
    best = load(old.folder)
    assert run.text_model.vocabulary == best.vocabulary
    for name, weight in best.model.weights.items():  # type: ignore[attr-defined]
        assert_array_equal(run.trainer.model.weights[name], weight)
    ids, half = run.corpora.train.ids, (len(run.corpora.train.ids) - 1) // 2
    block = np.stack([ids[:5], ids[half : half + 5]]).astype(np.int64)  # (N, T + 1): inputs and last targets
    log_probs = best.model.target_log_probs(block, best.model.start(2))[0][:, 1:]
    assert first_loss(run) == pytest.approx(-log_probs.mean(), rel=1e-5)


@pytest.mark.parametrize("options", KINDS, ids=kind_name)
def test_new_tokens_begin_with_the_mean_and_old_ones_keep_their_ratios(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    old = trained(tmp_path / "old", **options)
    best: Any = load(old.folder)
    run = started(tmp_path / "new", best, extend_vocab=True)
    V = len(best.vocabulary)
    vocabulary, model = run.text_model.vocabulary, run.trainer.model
    assert vocabulary.tokens == (*best.vocabulary.tokens, "tim", "cellar")
    assert run.corpora.train.unknown == 0
    for name, weight in best.model.weights.items():
        grown = model.weights[name]
        if grown.shape == weight.shape:
            assert_array_equal(grown, weight)
            continue
        if name == "output.W":
            weight, grown = weight.T, grown.T
        assert_array_equal(grown[:V], weight)
        assert_allclose(grown[V:], np.stack([weight.mean(0, np.float64)] * 2), rtol=1e-6)
    ids = np.array([[1, 2, 3], [3, 0, 5]])
    before = best.model.next_log_probs(best.model.feed(ids, best.model.start(2))).astype(np.float64)
    now = model.next_log_probs(model.feed(ids, model.start(2))).astype(np.float64)
    shift = now[:, :V] - before
    assert_allclose(shift, np.broadcast_to(shift[:, :1], shift.shape), atol=1e-5)
    assert_allclose(now[:, V:], np.repeat((before + shift).mean(1, keepdims=True), 2, 1), atol=1e-5)
    assert (np.exp(now[:, V:]) <= 1 / V).all()


@pytest.mark.parametrize("options", [{"cell": "lstm", "dropout": 0.3}, {"model": "nplm"}], ids=kind_name)
@pytest.mark.parametrize("extend_vocab", [False, True])
def test_a_resumed_run_equals_one_that_never_stopped(
    tmp_path: Path, options: dict[str, Any], extend_vocab: bool
) -> None:
    trained(tmp_path / "old", **options, min_count=2)
    more = {"dropout": 0.2, "schedule": "cosine", "extend_vocab": extend_vocab}
    whole = started(tmp_path / "whole", tmp_path / "old", **more)
    whole.train()
    parts = started(tmp_path / "parts", tmp_path / "old", **more)
    (tmp_path / "old" / "model.safetensors").unlink()  # it is not needed any more
    parts = in_parts(parts, {1, 5})
    for name, weight in whole.trainer.model.weights.items():
        assert_array_equal(parts.trainer.model.weights[name], weight)
    assert without_seconds(parts.folder)[1:] == without_seconds(whole.folder)[1:]
    assert parts.text_model.info["init_from"] == whole.text_model.info["init_from"]
    assert load(parts.folder).vocabulary == load(whole.folder).vocabulary


def test_a_run_records_what_it_started_from(tmp_path: Path) -> None:
    old = trained(tmp_path / "old")
    run = started(tmp_path / "new", old.folder, extend_vocab=True)
    digest = hashlib.sha256((old.folder / "model.safetensors").read_bytes()).hexdigest()
    record = {"model": str(old.folder), "sha256": digest, "new_tokens": 2}
    assert run.text_model.info["init_from"] == record
    assert read_toml((run.folder / "config.toml").read_text("utf-8"), "it")["init_from"] == record
    run.train()
    assert load(run.folder).info["init_from"] == record
    in_memory = WarmStart.of(load(old.folder))
    assert in_memory.sha256 == digest


def test_a_model_in_memory_is_not_changed(tmp_path: Path) -> None:
    model: Any = load(trained(tmp_path / "old").folder)
    before = {name: weight.copy() for name, weight in model.model.weights.items()}
    started(tmp_path / "new", model, STORY).train()
    for name, weight in model.model.weights.items():
        assert_array_equal(weight, before[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"cell": "gru"},
            "`cell` cannot be 'gru': .*old, from which training starts, has 'lstm'; leave it out",
        ),
        ({"hidden": 7}, "`hidden` cannot be 7: .* has 6"),
        ({"wordvec": 0}, "`wordvec` cannot be 0: .* has 5"),
        ({"layers": 2}, "`layers` cannot be 2: .* has 1"),
        ({"tie_weights": True}, "`tie_weights` cannot be True: .* has False"),
        ({"softmax": "adaptive"}, "`softmax` cannot be 'adaptive': .* has 'full'"),
        ({"level": "char"}, "`level` cannot be 'char': .* has 'word'"),
        ({"lower": True}, "`lower` cannot be True: .* has False"),
        ({"model": "nplm"}, "`model` cannot be 'nplm': .* has 'rnn'"),
        ({"model": "ngram"}, "`model` cannot be 'ngram': .* has 'rnn'"),
        ({"min_count": 2}, "`min_count` cannot be 2: the vocabulary is that of .*old.*`extend_vocab=True`"),
        ({"max_vocab": 9}, "`max_vocab` cannot be 9"),
        ({"vocab_size": 300}, "`vocab_size` cannot be 300: the vocabulary is that of .*; leave it out"),
        ({"window": 3}, "`window` applies only to `model='cbow'` or `model='nplm'`"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_option_that_contradicts_the_model_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    old = new_run(tmp_path / "old", cell="lstm")
    with pytest.raises(ConfigError, match=message):
        started(tmp_path / "new", old.folder, **options)
    assert not (tmp_path / "new").exists()


def test_an_option_that_agrees_may_be_given_and_a_default_may_contradict(tmp_path: Path) -> None:
    old = new_run(tmp_path / "old", cell="lstm")
    run = started(tmp_path / "new", old.folder, cell="lstm", hidden=6, softmax="sampled", candidates=3)
    assert (run.config.cell, run.config.hidden, run.config.wordvec) == ("lstm", 6, 5)
    run.train()
    with pytest.raises(ConfigError, match="`cell` cannot be 'rnn'"):
        TrainingRun.create(
            tmp_path / "given", "hello", Config(), init_from=old.folder, given={"cell", "epochs"}
        )


def test_regularisation_is_set_anew(tmp_path: Path) -> None:
    old = new_run(tmp_path / "old", dropout=0.5)
    run = started(tmp_path / "new", old.folder, recurrent_dropout=0.4)
    assert run.trainer.model.dropout == 0.0
    assert isinstance(run.trainer.model.rnn_layers[0].dropout, WeightDropout)


def test_new_words_are_unknown_and_the_warning_counts_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = new_run(tmp_path / "old", min_count=2)  # with <unk>
    caplog.set_level(logging.WARNING, "elman")
    run = started(tmp_path / "new", old.folder)
    unknown, tokens = run.corpora.train.unknown, run.corpora.train.tokens
    assert caplog.messages == [
        f"{unknown} of the {tokens} tokens of {tmp_path / 'new.txt'} are <unk>, which stands for what the vocabulary "
        "lacks; to add them to the vocabulary, set `extend_vocab=True`"
    ]
    assert len(run.corpora.train.ids) == tokens
    run.train()


def test_what_a_closed_vocabulary_lacks_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = new_run(tmp_path / "old")
    run = started(tmp_path / "new", old.folder)
    words = OTHER.replace("\n", " <eos> ").split()
    known = [word for word in words if word in run.text_model.vocabulary]
    assert run.text_model.vocabulary.decode(run.corpora.train.ids) == known
    assert f"{len(words) - len(known)} of the {len(words)} tokens" in caplog.text
    assert "are left out: the vocabulary lacks them" in caplog.text
    run.train()
    assert_array_equal(TrainingRun.resume(run.folder).corpora.train.ids, run.corpora.train.ids)
    (tmp_path / "apart").mkdir()
    letters = new_run(tmp_path / "apart" / "letters", STORY.replace("\n", " "), level="char", cell="gru")
    with pytest.raises(TextError, match="the vocabulary has no token of the training text"):
        started(tmp_path / "none", letters.folder, "가나다라마바사" * 9)


def test_an_imported_state_dict_can_be_trained_on(tmp_path: Path) -> None:
    old = load(trained(tmp_path / "old", cell="gru").folder)
    write_torch(tmp_path / "dict.safetensors", old)
    imported = read_torch(tmp_path / "dict.safetensors")
    run = started(tmp_path / "new", imported, STORY)
    expected = evaluate(old.model, run.corpora.train.ids, eos=old.start_id).perplexity
    found = evaluate(run.trainer.model, run.corpora.train.ids, eos=old.start_id).perplexity
    assert found == pytest.approx(expected, rel=1e-5)
    run.train()


@pytest.mark.parametrize("extend_vocab", [False, True])
def test_a_warm_start_is_ahead_of_a_cold_one(tmp_path: Path, extend_vocab: bool) -> None:
    shape = {"cell": "gru", "wordvec": 8, "hidden": 16}
    config = Config.of({**TRAINING, **shape, "lr": 0.02, "epochs": 1}, "this test")
    TrainingRun.create(tmp_path / "old", "hello", config, valid="none").train()
    short = Config.of({**config.to_dict(), "iterations": 5}, "this test")
    cold = TrainingRun.create(tmp_path / "cold", "hello", short, valid="none")
    model = {"init_from": tmp_path / "old", "extend_vocab": extend_vocab}
    warm = TrainingRun.create(tmp_path / "warm", "hello", short, valid="none", **model)
    for run in (cold, warm):
        run.train()
    assert warm.trainer.progress.best_perplexity < 0.5 * cold.trainer.progress.best_perplexity


def test_kinds_that_cannot_be_trained_are_refused(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(STORY, encoding="utf-8")
    train_ngram(tmp_path / "ngram", str(corpus), Config(model="ngram"))
    with pytest.raises(ConfigError, match=r"ngram, a NgramModel; give a recurrent model"):
        started(tmp_path / "new", tmp_path / "ngram")
    small = text_model()
    ids = np.arange(len(small.vocabulary))
    ngrams = NgramModel.train(ids, len(ids), 2)
    for model in (Mixture([small.model, ngrams], [0.5, 0.5]), CachedModel(small.model, 5, 0.1)):
        with pytest.raises(ConfigError, match=f"the given model, a {type(model).__name__}"):
            WarmStart.of(replace(small, model=model))
    with pytest.raises(ModelFileError):
        WarmStart.of(tmp_path / "nothing")


def test_held_out_words_are_not_added(tmp_path: Path) -> None:
    old = new_run(tmp_path / "old")
    corpus = tmp_path / "corpus2.txt"
    corpus.write_text(STORY * 3 + "nobody ever saw this other sentence .\n", encoding="utf-8")
    config = Config.of(TRAINING, "this test")
    how: dict[str, Any] = {"valid": "auto", "allow_overlap": True, "extend_vocab": True}
    run = TrainingRun.create(tmp_path / "new", str(corpus), config, init_from=old.folder, **how)
    assert run.corpora.held_out
    assert run.text_model.vocabulary == old.text_model.vocabulary


def test_fixed_vocabularies_are_not_extended(tmp_path: Path) -> None:
    for options, what in (
        ({"level": "byte"}, "its bytes are fixed"),
        ({"softmax": "adaptive", "cutoffs": "4"}, "the clusters of its adaptive softmax are fixed"),
    ):
        old = new_run(tmp_path / next(iter(options)), **options)
        with pytest.raises(ConfigError, match=f"cannot be extended: {what}"):
            WarmStart.of(old.folder, extend_vocab=True)
        started(tmp_path / f"more {next(iter(options))}", old.folder, STORY).train()


def test_subwords_are_the_models_own(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    old = new_run(tmp_path / "old", level="subword", vocab_size=270)
    run = started(tmp_path / "new", old.folder, max_tokens=60)
    assert run.text_model.tokenizer == old.text_model.tokenizer
    assert run.corpora.train.tokens == 60
    run.train()
    assert TrainingRun.resume(run.folder).finished
    with pytest.raises(ConfigError, match="its subwords are fixed"):
        WarmStart.of(old.folder, extend_vocab=True)


def test_extending_needs_a_model_and_choosing_has_nothing_to_choose(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name one with `init_from`"):
        started(tmp_path / "new", None, extend_vocab=True)
    old = new_run(tmp_path / "old")
    with pytest.raises(ConfigError, match="no options can be chosen"):
        TrainingRun.create(
            tmp_path / "new", "hello", Config(time_budget=1.0), init_from=old.folder, held=frozenset()
        )


@pytest.mark.parametrize(
    ("options", "added"),
    [
        ({}, ["d", "e", "f"]),
        ({"min_count": 2}, ["d", "f", UNK]),
        ({"min_count": 3}, ["f", UNK]),
        ({"max_vocab": 6}, ["d", "e", "f"]),
        ({"max_vocab": 5}, ["f", UNK]),
        ({"max_vocab": 4}, [UNK]),
        ({"max_vocab": 3}, []),
    ],
    ids=str,
)
def test_new_tokens_are_subject_to_min_count_and_max_vocab(
    tmp_path: Path, options: dict[str, Any], added: list[str]
) -> None:
    (tmp_path / "text.txt").write_text("a d d e f f f b", encoding="utf-8")
    run = TrainingRun.create(
        tmp_path / "run", str(tmp_path / "text.txt"), Config(batch_size=1, time_size=2, wordvec=2, hidden=2)
    )
    old = Vocabulary(["a", "b", "<eos>"], eos="<eos>")
    assert extended(old, run.corpora.train, Config(**options)).tokens == (*old.tokens, *added)
    opened = Vocabulary(["a", UNK, "<eos>"], eos="<eos>")
    if not options:
        assert extended(opened, run.corpora.train, Config()).tokens == (*opened.tokens, "d", "e", "f", "b")
    with pytest.raises(ConfigError, match="`max_vocab` must be ≥ 3"):
        extended(old, run.corpora.train, Config(max_vocab=2))


def test_a_model_without_an_end_of_line_learns_it(tmp_path: Path) -> None:
    small = text_model(text="tom was in the garden .")
    tokens = ["the end" if token == "<eos>" else token for token in small.vocabulary.tokens]
    bare = replace(small, vocabulary=Vocabulary(tokens, eos="<eos>"))
    assert bare.start_id is None
    run = started(tmp_path / "new", bare, STORY, extend_vocab=True)
    assert run.text_model.start_id == run.text_model.vocabulary.id("<eos>") > 0
    run.train()
