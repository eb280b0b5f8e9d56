"""Lessons: an RNN and a gated network in training, on their own and over HTTP."""

from typing import Any

import numpy as np
import pytest

from elman.inspection.through_time import through_time
from elman.serving.lesson import Lesson, Lessons, LessonSettings
from elman.serving.lesson_lines import SPANS, TEST_LINES, TRAINED_SPANS, TRAINING_LINES, lesson_text
from elman.serving.schemas import Limits
from elman.text.rooms import QUESTIONS, World
from elman.text.tokenizers import EOS, make_tokenizer
from elman.text_model import TextModel

SMALL = {"hidden": 8}
LANGUAGES = tuple(QUESTIONS)


def right(report: dict[str, Any]) -> list[float]:
    return [model["right"] for model in report["models"]]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_lines_are_of_the_world_and_their_answers_are_found(language: str) -> None:
    text, world = lesson_text(language), World(language)
    tokens = np.array(text.vocabulary.tokens)
    for lines in (text.train, text.test):
        words = tokens[lines.ids]  # (n, W)
        rows = np.arange(len(words))
        assert (words[rows, lines.answers] == words[:, 1]).all()
        assert (lines.distances == lines.answers - 1).all()
        some = tokens[lines.ids[0, 1 : lines.lengths[0]]].tolist()
        assert world.distance(some).max() == lines.distances[0]  # an error if the world cannot write it
    train, test = (
        {" ".join(tokens[row]).replace(f" {EOS}", "") for row in each.ids} for each in (text.train, text.test)
    )
    assert (len(train), len(test)) == (TRAINING_LINES, TEST_LINES)
    assert not train & test
    assert not any(line.startswith(QUESTIONS[language]) for line in train | test)
    trained = SPANS[:TRAINED_SPANS]
    assert (text.train.distances.min(), text.train.distances.max()) == (trained[0][0], trained[-1][1])
    assert all(
        ((least <= text.test.distances) & (text.test.distances <= most)).sum() > 10 for least, most in SPANS
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_question_asks_for_the_name_that_begins_it(language: str) -> None:
    text, world = lesson_text(language), World(language)
    words = [text.vocabulary.token(k) for k in text.question[0, 1:].tolist()]
    assert " ".join(words) == QUESTIONS[language]
    assert world.distance([*words, text.right])[-1] == len(words)
    assert set(world.names) <= set(text.vocabulary.tokens)


def test_the_same_settings_and_batches_give_the_same_results() -> None:
    one, other, third = (Lesson(LessonSettings(**SMALL, seed=seed)) for seed in (1, 1, 2))
    one.train(4)
    for _ in range(4):
        other.train(1)
    third.train(4)
    assert one.report() == other.report()
    assert one.report()["batches"] == 4
    assert right(one.report())[1:] != right(third.report())[1:]


def test_the_gru_learns_the_name_and_the_rnn_does_not() -> None:
    lesson = Lesson(LessonSettings())
    guess = 1 / len(World().names)
    assert max(right(lesson.report())[1:]) < guess
    lesson.train(100)
    report = lesson.report()
    trigrams, rnn, gru = report["models"]
    assert [trigrams["name"], rnn["name"], gru["name"]] == ["3-gram", "rnn", "gru"]
    assert trigrams["right"] < 1.5 * guess
    assert rnn["right"] < 2.5 * guess  # at best it can tell his room from her room
    assert min(gru["right"], *gru["by_distance"]) > 0.9
    assert gru["answer"][0]["token"] == report["right_name"] == "Tom"
    assert gru["answer"][0]["probability"] == gru["right_answer"] > 0.9
    assert gru["sample"]


def test_the_gradients_are_those_of_the_question_at_every_recorded_batch() -> None:
    lesson = Lesson(LessonSettings(**SMALL))
    first = lesson.report()["gradients"]
    lesson.train(12)
    gradients = lesson.report()["gradients"]
    assert [each["batches"] for each in gradients] == [0, 5, 10, 12]  # the last one is of now
    assert gradients[:1] == first
    lesson.train(8)
    later = lesson.report()["gradients"]
    assert [each["batches"] for each in later] == [0, 5, 10, 20]
    assert later[:3] == gradients[:3]
    vocabulary, question = lesson._text.vocabulary, QUESTIONS["en"]
    for model, norms in zip(lesson._networks, later[-1]["norms"], strict=True):
        text_model = TextModel(model, make_tokenizer("word"), vocabulary)
        found = through_time(text_model, f"{question} {lesson._text.right}", len(question.split()))
        np.testing.assert_allclose(norms, found.norms[-len(norms) :], rtol=1e-5)
        assert len(norms) == len(question.split())


def test_the_gradient_dies_in_the_rnn_and_reaches_the_name_in_the_gru() -> None:
    lesson = Lesson(LessonSettings())
    lesson.train(60)
    rnn, gru = (
        [norms[0] / norms[-1] for norms in each]
        for each in zip(*(each["norms"] for each in lesson.report()["gradients"]), strict=True)
    )
    assert max(rnn) < 0.01
    assert gru[0] < 0.05 < 0.5 < max(gru)


def test_no_gradient_reaches_the_name_from_another_block() -> None:
    lesson = Lesson(LessonSettings(time_size=10))
    lesson.train(60)
    assert max(right(lesson.report())) < 0.25


def test_a_line_in_several_blocks_is_read_as_a_whole() -> None:
    whole, cut = (Lesson(LessonSettings(**SMALL, time_size=T, lr=1e-12)) for T in (64, 3))
    for lesson in (whole, cut):
        lesson.train(1)
    states = [[network.carried_state() for network in lesson._networks] for lesson in (whole, cut)]
    for one, other in zip(*states, strict=True):
        np.testing.assert_allclose(one.h, other.h, atol=1e-5)


def test_the_lesson_used_longest_ago_gives_way() -> None:
    lessons, some = Lessons(2), [Lesson(LessonSettings(hidden=1)) for _ in range(3)]
    first, second = lessons.add(some[0]), lessons.add(some[1])
    assert lessons.find(first) is some[0]
    third = lessons.add(some[2])
    assert [lessons.find(each) for each in (first, second, third)] == [some[0], None, some[2]]
    assert len({first, second, third}) == 3


@pytest.fixture(scope="module")
def teacher(serve: Any, models: Any) -> Any:
    return serve(models, Limits(lessons=2), lessons=True)


def test_a_lesson_over_http_is_that_of_the_library(teacher: Any) -> None:
    begun = teacher.post("/lesson", json={"language": "ko", "cell": "lstm", "hidden": 8, "seed": 3}).json()
    lesson = Lesson(LessonSettings("ko", "lstm", 8, seed=3))
    name = begun.pop("lesson")
    expected = lesson.report()
    assert begun == {**expected, "spans": [list(span) for span in expected["spans"]]}
    stepped = teacher.post("/lesson/step", json={"lesson": name, "batches": 2}).json()
    lesson.train(2)
    assert (stepped["lesson"], stepped["batches"]) == (name, 2)
    assert stepped["models"] == lesson.report()["models"]


def test_a_lesson_that_was_dropped_is_not_found(teacher: Any) -> None:
    names = [teacher.post("/lesson", json=SMALL).json()["lesson"] for _ in range(3)]
    answers = [teacher.post("/lesson/step", json={"lesson": name, "batches": 1}) for name in names]
    assert [answer.status_code for answer in answers] == [404, 200, 200]
    assert answers[0].json()["error"]["code"] == "lesson_not_found"


@pytest.mark.parametrize(
    "fields",
    [
        {"cell": "rnn"},
        {"hidden": 129},
        {"hidden": 0},
        {"time_size": 0},
        {"lr": 0},
        {"lr": 0.2},
        {"language": "fr"},
    ],
)
def test_settings_have_limits(teacher: Any, fields: dict[str, Any]) -> None:
    answer = teacher.post("/lesson", json=fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == next(iter(fields))


def test_a_step_has_limits(teacher: Any) -> None:
    assert teacher.post("/lesson/step", json={"lesson": "none", "batches": 21}).status_code == 400
    assert teacher.post("/lesson/step", json={"lesson": "none"}).status_code == 404


def test_questions_are_offered(teacher: Any) -> None:
    offer = teacher.get("/lesson/offer").json()
    assert offer["offered"] is True
    for language in LANGUAGES:
        question = offer["questions"][language]
        assert question["text"] == QUESTIONS[language]
        assert question["answer"] in question["names"]


def test_a_server_without_lessons_trains_nothing(client: Any) -> None:
    assert client.get("/lesson/offer").json()["offered"] is False
    for path, fields in (("/lesson", {}), ("/lesson/step", {"lesson": "none"})):
        answer = client.post(path, json=fields)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "no_lessons"
