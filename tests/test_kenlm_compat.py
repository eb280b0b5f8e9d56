"""The replacement for KenLM's module: the states that decoders write, copy and compare."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman import kenlm_compat
from elman.errors import ModelFileError
from elman.formats.model_file import save_model
from elman.kenlm_compat import MISSING_LOG10, NO_LIMIT, FullScoreReturn, Model, State
from support.ngrams import sentence_model
from support.tiny import text_model

LINE = "tom was watching tv in the garden ."
MADE = [
    sentence_model,
    text_model,
    lambda: text_model(cell="lstm"),
    lambda: text_model("char"),
    lambda: text_model("jamo"),
    lambda: text_model("byte"),
]
every_model = pytest.mark.parametrize("made", MADE)


def state_after(model: Model, sentence: str = "", bos: bool = True) -> State:
    state = State()
    (model.BeginSentenceWrite if bos else model.NullContextWrite)(state)
    for word in sentence.split():
        model.BaseScore(state, word, state)
    return state


@every_model
@pytest.mark.parametrize("bos", [True, False])
def test_base_scores_add_up_to_the_score(made: Any, bos: bool) -> None:
    model = Model(made())
    state, after = state_after(model, bos=bos), State()
    total = 0.0
    for word in [*LINE.split(), "</s>"]:
        total += model.BaseScore(state, word, after)
        state, after = after, state
    assert total == pytest.approx(model.score(LINE, bos=bos), rel=1e-9)
    assert model.score(LINE) == pytest.approx(model.text_model.score(LINE), rel=1e-12)
    assert model.perplexity(LINE) == pytest.approx(model.text_model.perplexity(LINE))


@every_model
def test_what_is_read_leaves_the_state_before_as_it_was(made: Any) -> None:
    model = Model(made())
    before, kept, after = state_after(model, "tom"), state_after(model, "tom"), State()
    found = [model.BaseScore(before, word, after) for word in ("was", "said", "was")]
    assert found[0] == found[2] != found[1]
    assert before == kept
    assert before != after


@every_model
def test_states_are_values(made: Any) -> None:
    model = Model(made())
    state = state_after(model, "tom was")
    for same in (copy.copy(state), copy.deepcopy(state), state_after(model, "tom was")):
        assert same is not state
        assert same == state
        assert hash(same) == hash(state)
    other = copy.copy(state)
    model.BaseScore(other, "in", other)
    assert other != state != state_after(model) != State()
    assert len({state, copy.copy(state), other}) == 2
    assert state != "tom was"


def test_an_empty_state_is_the_null_context() -> None:
    model = Model(sentence_model())
    assert model.BaseScore(State(), "tom", State()) == model.score("tom", bos=False, eos=False)


@every_model
def test_full_scores_of_one_word_are_those_of_the_sentence(made: Any) -> None:
    model = Model(made())
    state = state_after(model, "tom was")
    found = model.BaseFullScore(state, "in", state)
    whole = list(model.full_scores("tom was in", eos=False))
    assert isinstance(found, FullScoreReturn)
    assert found.ngram_length == whole[-1][1]
    assert found.oov is False
    before = sum(log10_prob for log10_prob, _, _ in model.full_scores("tom was", eos=False))
    assert found.log_prob == pytest.approx(sum(log10_prob for log10_prob, _, _ in whole) - before)


def test_the_order_is_that_of_n_grams_or_has_no_limit() -> None:
    assert Model(sentence_model(order=4)).order == 4
    assert Model(text_model()).order == NO_LIMIT


def test_a_model_is_loaded_from_its_file(tmp_path: Path) -> None:
    given = text_model()
    save_model(tmp_path / "m.safetensors", given)
    model = Model(str(tmp_path / "m.safetensors"))
    assert model.path == str(tmp_path / "m.safetensors").encode()
    assert model.score(LINE) == pytest.approx(given.score(LINE))
    assert Model(given).path == b""
    with pytest.raises(ModelFileError, match="there is no model"):
        Model(tmp_path / "other")


def test_paths_of_every_kind_give_the_same_model(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model(path, text_model())
    models = [Model(path), Model(str(path)), Model(str(path).encode()), kenlm_compat.LanguageModel(str(path))]
    models.append(pickle.loads(pickle.dumps(models[0])))
    assert {model.path for model in models} == {str(path).encode()}
    assert {model.score(LINE) for model in models} == {models[0].score(LINE)}
    assert {repr(model) for model in models} == {"<Model from b'm.safetensors'>"}
    assert repr(Model(text_model())).startswith("<Model from RecurrentLM(")


def test_the_settings_of_loading_are_accepted(tmp_path: Path) -> None:
    config = kenlm_compat.Config()
    assert (config.load_method, config.show_progress, config.arpa_complain) == (
        2,
        True,
        0,
    )  # KenLM's defaults
    config.load_method = kenlm_compat.LoadMethod.LAZY
    config.arpa_complain = kenlm_compat.ARPALoadComplain.NONE
    save_model(tmp_path / "m.safetensors", text_model())
    assert Model(str(tmp_path / "m.safetensors"), config).score(LINE) == Model(text_model()).score(LINE)


@every_model
def test_bytes_are_read_as_utf_8(made: Any) -> None:
    model = Model(made())
    assert model.score(LINE.encode()) == model.score(LINE)
    assert model.perplexity(LINE.encode()) == model.perplexity(LINE)
    assert b"tom" in model
    state, after = state_after(model, "tom"), State()
    assert model.BaseScore(state, b"was", after) == model.BaseScore(state, "was", State())
    assert after == state_after(model, "tom was")
    assert model.BaseScore(state, b"</s>", after) == model.BaseScore(state, "</s>", State())
    assert repr(state) == f"State({state._read} tokens read)"


def test_words_and_boundaries_are_known() -> None:
    model = Model(text_model())
    assert all(word in model for word in ("tom", "<s>", "</s>"))
    assert "yodelling" not in model
    assert "<unk>" not in Model(sentence_model(min_count=2))


def test_an_unknown_word_without_an_unknown_token_is_all_but_impossible() -> None:
    model = Model(text_model())
    known = model.score("tom was")
    assert model.score("tom yodelling was") == pytest.approx(MISSING_LOG10 + known)
    state = state_after(model, "tom")
    after = State()
    assert model.BaseFullScore(state, "yodelling", after) == (MISSING_LOG10, 0, True)
    assert after == state
    assert next(model.full_scores("yodelling"))[1:] == (0, True)


def test_an_empty_sentence_has_no_perplexity() -> None:
    assert np.isnan(Model(text_model("char", "abc")).perplexity(""))


def test_an_end_within_a_sentence_is_an_end() -> None:
    model = Model(text_model())
    assert model.score("tom was </s>", eos=False) == model.score("tom was")
    assert model.score(" tom  was\n") == model.score("tom was")


def test_a_space_precedes_the_characters_of_the_next_word() -> None:
    model = Model(text_model("char"))
    state = state_after(model, "tom")
    assert model.BaseScore(state, "was", State()) == pytest.approx(
        model.score("tom was", eos=False) - model.score("tom", eos=False)
    )
    model.BaseScore(state, "</s>", state)
    given = model.text_model  # and at the start of a line there is none
    assert model.BaseScore(state, "was", State()) == pytest.approx(
        given.score("tom\nwas", eos=False) - given.score("tom\n", eos=False)
    )


def test_of_one_state_the_distribution_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(text_model())
    own = model.text_model.model
    asked = []

    def counting(state: Any, made: Any = own.next_log_probs) -> Any:
        asked.append(state)
        return made(state)

    monkeypatch.setattr(own, "next_log_probs", counting)
    states = [state_after(model, "tom " * k) for k in range(68)]  # more than are kept
    asked.clear()
    expected = [
        model.score("tom " * k + "was", eos=False) - model.score("tom " * k, eos=False) for k in range(68)
    ]
    found = [model.BaseScore(copy.copy(state), "was", State()) for state in states]
    again = [model.BaseScore(states[-1], word, State()) for word in ("was", "in", ".")]
    assert len(asked) == 68
    assert found == pytest.approx(expected)
    assert again[0] == found[-1]
    assert np.isfinite(again).all()
