"""Messages, help and tables in Korean: the catalogue is complete, and the command line uses it."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

from elman import language
from elman.catalogue import CATALOGUE, FIELD, read_catalogue
from elman.catalogue import korean as korean_translator
from elman.cli import COMMANDS, HelpContext, group
from elman.cli.korean import KoreanFormatter, translated_meaning, wrapped
from elman.language import is_korean, translate
from elman.models.parameters import CELLS
from elman.results import format_table

from .conftest import Command

SCRIPT = Path(__file__).parents[2] / "docs" / "make_catalogue.py"
HANGUL = re.compile("[가-힣]")
BACKQUOTED = re.compile("`[^`]*`")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_catalogue", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def catalogue() -> dict[str, str]:
    return read_catalogue(CATALOGUE.read_text(encoding="utf-8"))


@pytest.fixture
def korean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMAN_LANG", "ko")


def test_the_catalogue_has_every_message_and_no_other(script: ModuleType) -> None:
    text, missing = script.updated()
    assert missing == []
    assert text == CATALOGUE.read_text(encoding="utf-8"), "run python docs/make_catalogue.py"


def test_translations_keep_fields_and_terms_of_python(catalogue: dict[str, str]) -> None:
    for message, translation in catalogue.items():
        fields = set(FIELD.findall(message)), set(FIELD.findall(translation))
        assert fields[0] == fields[1], message
        assert sorted(BACKQUOTED.findall(message)) == sorted(BACKQUOTED.findall(translation)), message
        assert translation == message or HANGUL.search(translation), message


def test_what_is_not_prose_is_the_same_in_both_languages(catalogue: dict[str, str]) -> None:
    same = [message for message, translation in catalogue.items() if message == translation]
    assert [message for message in same if re.search(r"\b(is|are|must|cannot|has)\b", message)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_is_in_korean(name: str, korean: None) -> None:
    command = group.get_command(click.Context(group, **group.context_settings), name)
    assert command.help is not None
    for paragraph in command.help.split("\n\n"):
        formatter = KoreanFormatter(width=80)
        formatter.write_text(paragraph)
        assert HANGUL.search(formatter.getvalue()), paragraph
    for option in command.params:
        if isinstance(option, click.Option):
            record = option.get_help_record(click.Context(command, **group.context_settings))
            assert record is not None
            assert HANGUL.search(translated_meaning(record[1])), record


def test_the_help_that_is_printed_is_in_korean(command: Command, korean: None) -> None:
    whole = command("--help").out
    assert whole.startswith("사용법: elman [옵션] 명령 [인자]...\n\n  순환 신경망 언어 모델")
    assert "\n옵션:\n" in whole
    assert "\n명령:\n  demo             순환 언어 모델이 배우는 모습을" in whole
    shown = " ".join(command("score", "--help").out.split())
    assert "--case [auto|lower|upper|asis]" not in shown
    assert "--errors [strict|replace|skip] 인코딩에 맞지 않는 줄의 처리." in shown
    assert "[기본값: strict]" in shown
    assert "이 도움말을 보여 주고 끝냅니다." in shown


WRONG = [
    (("eval", "nope", "story.txt"), "nope: 거기에 모델이 없습니다; `elman train`으로 만드세요"),
    (
        ("train", "nope.txt"),
        "'nope.txt': 그런 파일, 폴더, 이름 있는 말뭉치가 없습니다(이름 있는 말뭉치의 목록: `elman data`)",
    ),
    (
        ("train", "story.txt", "--lr", "-1"),
        "'--lr'의 값이 잘못되었습니다: '-1'; 쓸 수 있는 값: 0보다 큰 수; 도움말을 보려면: elman train --help",
    ),
    (
        ("train", "story.txt", "--cell", "gra"),
        f"'--cell'의 값이 잘못되었습니다: 'gra': {', '.join(map(repr, CELLS))} 가운데 하나여야 합니다; "
        "도움말을 보려면: elman train --help",
    ),
    (
        ("train", "story.txt", "--hidden", "5", "--model", "ngram"),
        "--hidden: --model rnn 또는 --model nplm에만 쓰는 옵션인데 model이 'ngram'입니다; 빼세요: --hidden 5",
    ),
    (
        ("train", "story.txt", "--time-budget", "5x"),
        "'--time-budget'의 값이 잘못되었습니다: '5x': 시간이 아닙니다; 90s, 10m, 2h처럼 적으세요; "
        "도움말을 보려면: elman train --help",
    ),
    (
        ("train", "--resume", "nope"),
        "nope: 이어 할 실행이 없습니다; config.toml 또는 last.safetensors 파일이 없습니다",
    ),
    (("trian",), "명령 'trian': 그런 명령은 없습니다; 혹시 train입니까?; 도움말을 보려면: elman --help"),
    (
        ("data", "hallo"),
        "말뭉치 'hallo': 그런 이름의 말뭉치가 없습니다; 혹시 hello입니까?(목록: `elman data`)",
    ),
    (("data", "--foo"), "옵션 '--foo': 그런 옵션은 없습니다; 도움말을 보려면: elman data --help"),
    (("eval", "nope"), "인자가 빠졌습니다: 'TEXT'; 도움말을 보려면: elman eval --help"),
    (("mix", "a", "b"), "가중치를 맞출, 어느 모델도 학습하지 않은 글을 적으세요: --tune valid.txt"),
    (("check-gradients", "foo"), "'foo': 불러올 수 없습니다("),
    (("plot", "nope"), "nope: metrics.jsonl이 없습니다; `elman train`이 만든 실행이 아닙니다"),
    (("bench", "Z"), "작업 'Z': 그런 작업은 없습니다; A, B, C, D, E, G, H-words 가운데 고르세요"),
    (
        ("train", "bad.txt"),
        "bad.txt: 위치 7(1행)의 바이트 0xff이(가) utf-8에 맞지 않습니다; 파일의 인코딩을 --encoding으로 적거나"
        "(latin-1, cp949, utf-16), (score, surprisal, eval, compare, mix, normalise, train에서는) "
        "--errors replace로 계속 읽으세요",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_errors_are_in_korean(
    arguments: tuple[str, ...], message: str, command: Command, story: Path, korean: None
) -> None:
    story.with_name("bad.txt").write_bytes(b"hello w\xff\n")
    outcome = command(*arguments)
    assert outcome.code != 0
    assert outcome.err.startswith(f"elman: {message}"), outcome.err


def test_results_and_logs_are_in_korean_and_data_is_not(command: Command, story: Path, korean: None) -> None:
    trained = command("train", "story.txt", "-o", "new", "--model", "ngram")
    assert "story.txt: 토큰 " in trained.err
    assert trained.out.startswith("new: 5단어까지의 n-gram ")
    shown = command("eval", "new", "story.txt").out
    assert shown.startswith("단어당 퍼플렉서티       ")
    assert "셈에 넣음; 첫 단어의 예측: 줄의 끝 다음에" in shown
    assert "perplexity" in json.loads(command("eval", "new", "story.txt", "--json").out)
    assert command("score", "new", "story.txt").out.startswith("ln_prob\t")


def test_english_loads_no_catalogue(command: Command, story: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELMAN_LANG", "en")
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    korean_translator.cache_clear()
    assert command("--help").out.startswith("Usage: elman [OPTIONS] COMMAND [ARGS]...")
    assert command("eval", "nope", "story.txt").err == (
        "elman: there is no model at nope; `elman train` makes one\n"
    )
    assert korean_translator.cache_info().currsize == 0


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"LANG": "ko_KR.UTF-8"}, True),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "C", "LC_MESSAGES": "ko"}, True),
        ({"LANG": "ko_KR.UTF-8", "ELMAN_LANG": "en"}, False),
        ({"LANG": "en_US.UTF-8", "ELMAN_LANG": "ko"}, True),
        ({"LANG": "kok_IN"}, False),
        ({"ELMAN_LANG": "", "LANG": "ko_KR.EUC-KR"}, True),
    ],
)
def test_the_language_follows_the_environment(
    variables: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in language.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_korean() == expected


def test_messages_inside_messages_are_translated(korean: None) -> None:
    assert translate("runs/a holds no run to resume: config.toml or last.safetensors is missing") == (
        "runs/a: 이어 할 실행이 없습니다; config.toml 또는 last.safetensors 파일이 없습니다"
    )
    assert translate("x.json is not valid JSON (nested too deeply); write one object per line") == (
        "x.json: 올바른 JSON이 아닙니다(너무 깊이 중첩됨); 한 줄에 객체 하나를 적으세요"
    )
    assert translate("epoch 3: perplexity 9.641, validation 3.183 * (learning rate 0.0094, 0.9 s)") == (
        "에폭 3: 퍼플렉서티 9.641, 검증 3.183 * (학습률 0.0094, 0.9초)"
    )


def test_what_a_user_wrote_is_not_translated(korean: None) -> None:
    sample = "---- iteration 5, smooth loss 1.0000 ----\nstandard input\n----"
    assert translate(sample) == "---- 반복 5, smooth loss 1.0000 ----\nstandard input\n----"
    assert translate("text is a folder; name a file") == "text: 폴더입니다; 파일 이름을 적으세요"
    assert translate("no message of elman") == "no message of elman"


def test_hangul_is_two_columns_wide() -> None:
    assert format_table([["단어", "1"], ["x", "22"]]) == "단어   1\nx     22"
    assert wrapped("퍼플렉서티를 측정합니다.", 14) == ["퍼플렉서티를", "측정합니다."]


def test_the_help_of_a_process_follows_the_environment() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "elman", "data", "--help"],
        env={"ELMAN_LANG": "ko", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(SCRIPT.parents[1] / "src")},
        capture_output=True,
        check=True,
    )
    assert found.stdout.decode("utf-8").startswith("사용법: elman data [옵션] [NAME]")


def test_commands_have_the_context_of_the_group() -> None:
    assert group.context_class is HelpContext
