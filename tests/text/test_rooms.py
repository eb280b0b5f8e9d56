"""The rooms world: its probabilities are exact, its text is the same everywhere."""

import hashlib
import math
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import ConfigError, TextError
from elman.text.rooms import Place, World, write_split
from elman.text.rooms.english import ENGLISH
from elman.text.rooms.grammar import Grammar, Sentence
from elman.text.rooms.korean import KOREAN

GRAMMARS = [ENGLISH, KOREAN]
both_languages = pytest.mark.parametrize("language", ["en", "ko"])
both_grammars = pytest.mark.parametrize("grammar", GRAMMARS, ids=["en", "ko"])

ENDING_IN_CONSONANT = {"톰", "존", "앤", "수잔", "방", "책", "음악", "말", "밤", "창문", "불", "밥", "손"}
AFTER_CONSONANT, AFTER_VOWEL = {"은", "이", "을"}, {"는", "가", "를"}


def words_of(text: str) -> list[str]:
    return text.replace("\n", " <eos> ").split()


SPEC_EXAMPLE = words_of("Tom was watching TV in his room . Mary came into the room . Mary said hi to Tom .\n")


def reachable(world: World) -> list[Place]:
    seen, waiting = {Place()}, [Place()]
    while waiting:
        place = waiting.pop()
        following = {world.read(place, token) for token in world.next_tokens(place)} - seen
        seen |= following
        waiting += following
    return list(seen)


def sets_of_sentences(grammar: Grammar) -> list[list[Sentence]]:
    """The sentences among which a reader must choose, in every situation."""
    openings = [sentence for sentence, _ in grammar.opening_sentences()]
    entries = [[sentence for sentence, _ in grammar.entry_sentences(name)] for name in grammar.names]
    asides = [sentence for sentence, _ in grammar.aside_sentences()]
    pairs = [(x, y) for x in grammar.names for y in grammar.names if x != y]
    return [openings, *entries, *([*asides, grammar.question_sentence(*pair)] for pair in pairs)]


@both_grammars
def test_sentences_are_distinct_and_none_begins_another(grammar: Grammar) -> None:
    for sentences in sets_of_sentences(grammar):
        beginnings = {sentence[:end] for sentence in sentences for end in range(len(sentence))}
        assert len(set(sentences)) == len(sentences)
        assert not beginnings & set(sentences)


@both_grammars
def test_weights_are_probabilities(grammar: Grammar) -> None:
    for weighted in (
        grammar.opening_sentences(),
        grammar.aside_sentences(),
        *map(grammar.entry_sentences, grammar.names),
    ):
        assert math.fsum(weight for _, weight in weighted) == pytest.approx(1)
        assert min(weight for _, weight in weighted) > 0


@both_languages
def test_every_state_is_a_distribution_over_the_vocabulary(language: str) -> None:
    world = World(language, distractors=(0, 1))
    places = reachable(world)
    assert len(places) > 10_000
    assert {token for place in places for token in world.next_tokens(place)} == set(world.vocabulary)
    for place in places:
        assert math.fsum(world.next_tokens(place).values()) == pytest.approx(1, abs=1e-12)


@both_languages
def test_vocabulary_is_small_and_contains_the_end_of_the_line(language: str) -> None:
    vocabulary = World(language).vocabulary
    assert 60 <= len(vocabulary) <= 100
    assert "<eos>" in vocabulary
    assert len(set(vocabulary)) == len(vocabulary)


@both_languages
def test_sampled_frequencies_match_the_probabilities(language: str) -> None:
    world = World(language)
    seen: dict[Place, Counter[str]] = defaultdict(Counter)
    place = Place()
    for token, _ in islice(world.tokens(np.random.default_rng(1)), 20_000):
        seen[replace(place, asides=0)][token] += 1  # a geometric number has no memory
        place = world.read(place, token)
    checked = 0
    for place, counts in seen.items():
        n = counts.total()
        for token, p in world.next_tokens(place).items():
            if 10 < n * p < n:
                assert abs(counts[token] - n * p) < 4.5 * math.sqrt(n * p * (1 - p))
                checked += 1
    assert checked > 100


def test_the_largest_draw_is_a_possible_token_too() -> None:
    class Largest(np.random.Generator):
        def random(self) -> float:  # type: ignore[override]
            return float(np.nextafter(1, 0))

    world = World("en")
    tokens, _ = zip(*islice(world.tokens(Largest(np.random.PCG64(0))), 200), strict=True)
    assert all(world.token_probabilities(tokens) > 0)


@both_languages
def test_the_number_of_distractors_has_its_mean_and_its_bounds(language: str) -> None:
    def counts(world: World) -> list[int]:
        lines = world.text(6000, np.random.default_rng(2)).splitlines()
        return [line.split().count(".") - 3 for line in lines]

    assert np.mean(counts(World(language))) == pytest.approx(1, abs=0.2)
    assert set(counts(World(language, distractors=0))) == {0}
    assert set(counts(World(language, distractors=(3, 5)))) == {3, 4, 5}


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32), language=st.sampled_from(["en", "ko"]))
def test_the_probability_of_a_line_is_the_product_of_its_sentences(seed: int, language: str) -> None:
    world, grammar = World(language), {"en": ENGLISH, "ko": KOREAN}[language]
    line = words_of(world.text(1, np.random.default_rng(seed)))
    ends = [position + 1 for position, token in enumerate(line) if token == "."]
    opening, entry, *asides, _ = (
        tuple(line[start:end]) for start, end in zip([0, *ends], ends, strict=False)
    )
    weight_of_aside = dict(grammar.aside_sentences())
    expected = dict(grammar.opening_sentences())[opening]
    expected *= dict(grammar.entry_sentences(opening[0]))[entry]
    expected *= math.prod(1 / 2 * weight_of_aside[aside] for aside in asides) / 2
    assert math.prod(world.token_probabilities(line)) == pytest.approx(expected, rel=1e-9)


@both_languages
def test_parsing_gives_the_probabilities_that_sampling_gave(language: str) -> None:
    world = World(language, distractors=(1, 4))
    tokens, probabilities = zip(*islice(world.tokens(np.random.default_rng(3)), 3000), strict=True)
    np.testing.assert_array_equal(world.token_probabilities(tokens), probabilities)


@both_languages
def test_entropy_rate_is_the_sum_over_the_states(language: str) -> None:
    world = World(language, distractors=(0, 1))

    @cache
    def to_line_end(place: Place) -> tuple[float, float]:
        """Expected nats and tokens from here to the end of the line."""
        nats = tokens = 0.0
        for token, p in world.next_tokens(place).items():
            rest = (0.0, 0.0) if token == "<eos>" else to_line_end(world.read(place, token))
            nats += p * (rest[0] - math.log(p))
            tokens += p * (rest[1] + 1)
        return nats, tokens

    nats, tokens = to_line_end(Place())
    assert world.entropy_rate == pytest.approx(nats / tokens, rel=1e-9)


@both_languages
@pytest.mark.parametrize("distractors", [0, 2.0, (1, 3)])
def test_a_long_sample_has_the_entropy_rate(language: str, distractors: float | tuple[int, int]) -> None:
    world = World(language, distractors)
    sample = islice(world.tokens(np.random.default_rng(4)), 15_000)
    nll_nats = -np.log([probability for _, probability in sample])
    assert nll_nats.mean() == pytest.approx(world.entropy_rate, rel=0.03)
    assert world.perplexity == pytest.approx(math.exp(world.entropy_rate))


@both_languages
def test_the_answer_is_certain(language: str) -> None:
    world = World(language)
    tokens = words_of(world.text(2000, np.random.default_rng(5)))
    answers = np.flatnonzero(world.distance(tokens))
    assert len(answers) == tokens.count("<eos>")
    np.testing.assert_array_equal(world.token_probabilities(tokens)[answers], 1)


def test_the_answer_to_the_textbook_question_is_18_words_back() -> None:
    distance = World("en").distance(SPEC_EXAMPLE)
    assert distance[18] == 18
    assert np.count_nonzero(distance) == 1


@both_languages
def test_distance_leads_back_to_the_first_name_of_the_line(language: str) -> None:
    world = World(language)
    tokens = words_of(world.text(3000, np.random.default_rng(6)))
    distance = world.distance(tokens)
    for position in np.flatnonzero(distance):
        first = position - distance[position]
        assert tokens[first] == tokens[position]
        assert first == 0 or tokens[first - 1] == "<eos>"
    assert 15 <= np.median(distance[distance > 0]) <= 25


@pytest.mark.parametrize(
    ("tokens", "position"),
    [
        ([*SPEC_EXAMPLE[:18], "Ann"], 18),
        (["Tom", "is"], 1),
        (["<eos>"], 0),
        ([*SPEC_EXAMPLE, "<eos>"], 21),
        ([*SPEC_EXAMPLE[:8], "Tom"], 8),
    ],
)
def test_a_foreign_text_is_an_error_that_names_the_position(tokens: list[str], position: int) -> None:
    for parse in (World("en").token_probabilities, World("en").distance):
        with pytest.raises(TextError, match=f"token {position} is '{tokens[position]}'"):
            parse(tokens)


def test_an_unfinished_line_has_probabilities_too() -> None:
    probabilities = World("en").token_probabilities(SPEC_EXAMPLE[:11])
    assert probabilities[0] == pytest.approx(1 / 8)
    assert probabilities[8] == pytest.approx(1 / 7)
    assert len(World("en").token_probabilities([])) == 0


def test_english_pronouns_follow_the_person() -> None:
    text = World("en").text(5000, np.random.default_rng(7))
    pronouns = {(line.split()[0], "his" in line.split()) for line in text.splitlines()}
    assert pronouns == {(name, name in {"Tom", "John", "Harry", "Mark"}) for name in ENGLISH.names}


def test_korean_particles_follow_the_final_consonant() -> None:
    sentences = {sentence for choice in sets_of_sentences(KOREAN) for sentence in choice}
    followed = {pair for sentence in sentences for pair in pairwise(sentence)}
    checked = {(word, particle) for word, particle in followed if particle in AFTER_CONSONANT | AFTER_VOWEL}
    for word, particle in checked:
        assert particle in (AFTER_CONSONANT if word in ENDING_IN_CONSONANT else AFTER_VOWEL), word
    for name in KOREAN.names:
        assert len({particle for word, particle in checked if word == name}) == 3


def test_the_korean_example() -> None:
    tokens = words_of(
        "톰 은 자기 방 에서 TV 를 보고 있었다 . 메리 가 방 에 들어왔다 . 메리 가 톰 에게 인사했다 ."
    )
    world = World("ko")
    assert world.token_probabilities(tokens)[18] == 1
    assert world.distance(tokens)[18] == 18


def test_text_is_whole_lines_of_at_least_the_requested_tokens() -> None:
    world = World("en")
    text = world.text(100, np.random.default_rng(8))
    lines = text.splitlines(keepends=True)
    assert text.endswith(" .\n")
    assert len(words_of(text)) >= 100 > len(words_of("".join(lines[:-1])))


@pytest.mark.parametrize("distractors", [-1, math.nan, math.inf, (2, 1), (-1, 3)])
def test_impossible_distractors_are_refused(distractors: float | tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="distractors must be"):
        World("en", distractors)


def test_unknown_choices_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose one of: en, ko"):
        World("fr")
    with pytest.raises(ConfigError, match="choose one of: train, valid, test"):
        write_split(tmp_path / "x", "dev")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="n_tokens"):
        World("en").text(0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("split", "language", "sha256"),
    [
        ("valid", "en", "d7fc2b8334a00bca2c7a7c997127a8a3d045d32d4e80ec644f9c442ab5867586"),
        ("test", "en", "ad99fbfe0cf2e1518bfdd2683dc0c0dff4dfb6733b72f8933e00f308f1324bdc"),
        ("valid", "ko", "14222e9d4f03e2c1007c0bd4e7a64ccb84beddc424565f0afe4b81720e31da1d"),
        ("test", "ko", "16b3dcc7d2767ff26e442319e593f1f1234d4c3c777c7a82b06cd2bd6b8aee79"),
    ],
)
def test_splits_are_the_same_on_every_machine(tmp_path: Path, split: str, language: str, sha256: str) -> None:
    write_split(tmp_path / "text", split, language)  # type: ignore[arg-type]
    content = (tmp_path / "text").read_bytes()
    assert hashlib.sha256(content).hexdigest() == sha256, "a changed text needs a new VERSION"
    assert 20_000 <= len(words_of(content.decode())) < 20_100


@pytest.mark.slow
@both_languages
def test_the_training_split_shows_every_word(tmp_path: Path, language: str) -> None:
    write_split(tmp_path / "text", "train", language)  # type: ignore[arg-type]
    tokens = words_of((tmp_path / "text").read_text(encoding="utf-8"))
    assert 400_000 <= len(tokens) < 400_200
    assert set(tokens) == set(World(language).vocabulary)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(descriptor: int) -> None:
        raise OSError("no space left")

    (tmp_path / "text").write_text("old")
    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_split(tmp_path / "text", "test", "en")
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
    assert (tmp_path / "text").read_text() == "old"
