"""The page at `/`: its files, their headers, its strings, and that its script computes as the server does."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import elman
from elman.generation import Sampler
from elman.text.jamo import READABLE
from elman.web import read_assets

FOLDER = Path(elman.__file__).parent / "web" / "assets"
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file())
LANGUAGES = ("en", "ko")
OWN = [name for name in FILES if not name.startswith("vendor/") and name.endswith((".html", ".js", ".css"))]


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def strings(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(text_of(f"strings/{language}.json"))
    return found


def test_the_page_is_html_that_no_other_site_may_frame_or_fill(client: Any) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert answer.text == text_of("index.html")


@pytest.mark.parametrize(
    ("ending", "media"),
    [
        ("css", "text/css; charset=utf-8"),
        ("js", "text/javascript; charset=utf-8"),
        ("json", "application/json"),
        ("svg", "image/svg+xml"),
    ],
)
def test_every_file_has_its_media_type(client: Any, ending: str, media: str) -> None:
    names = [name for name in read_assets() if name.endswith(f".{ending}")]
    assert names
    for name in names:
        answer = client.get(f"/page/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, media), name
        assert "content-security-policy" in answer.headers
        assert answer.content == (FOLDER / name).read_bytes()


def test_an_unchanged_file_is_not_sent_again(client: Any) -> None:
    first = client.get("/page/js/main.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/page/js/main.js", headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/page/js/main.js", headers={"If-None-Match": '"other"'}).status_code == 200
    head = client.head("/page/js/main.js")
    assert (head.content, head.headers["content-length"]) == (b"", first.headers["content-length"])


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/js",
        "/page/js/",
        "/page/nothing.js",
        "/page/..%2fapp.py",
        "/page/%2e%2e/app.py",
        "/page/js/..%2f..%2f..%2fapp.py",
        "/page/js/..%2fmain.js",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/..%5capp.py",
        "/page/js/main.js%00",
        "/page/js/main.js/",
        "/page/vendor/uPlot-LICENSE",
    ],
)
def test_no_other_file_is_served(client: Any, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_the_page_needs_no_key_but_its_requests_do(serve: Any, models: Any) -> None:
    guarded = serve(models, key="secret")
    assert guarded.get("/").status_code == 200
    assert guarded.get("/page/js/main.js").status_code == 200
    assert guarded.get("/page/nothing").status_code == 404
    for path in ("/v1/models", "/runs", "/pages", "/page", "//page/js/main.js"):
        assert guarded.get(path).status_code == 401, path


def test_the_wheel_has_every_file() -> None:
    about = Path(elman.__file__).parents[2] / "pyproject.toml"
    if not about.is_file():
        pytest.skip("elman is not tested in its repository")
    patterns = tomllib.loads(about.read_text())["tool"]["setuptools"]["package-data"]["elman"]
    package = Path(elman.__file__).parent
    packaged = {path for pattern in patterns for path in package.glob(pattern)}
    assert {FOLDER / name for name in FILES} <= packaged
    assert "vendor/uPlot-LICENSE" in FILES


def test_index_html_names_every_script_and_style_once() -> None:
    named = re.findall(r'(?:src|href)="/page/([^"]+)"', text_of("index.html"))
    served = {name for name in FILES if name.endswith((".js", ".css"))}
    only_in_replays = {"js/source-replay.js"}
    assert len(named) == len(set(named))
    assert set(named) - {"favicon.svg"} == served - only_in_replays


def test_both_languages_have_the_same_strings_with_the_same_values() -> None:
    english, korean = map(strings, LANGUAGES)
    assert english.keys() == korean.keys()
    for key, text in english.items():
        assert text.strip()
        assert korean[key].strip()
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", korean[key])), key


def test_every_string_that_is_used_exists() -> None:
    named = set()
    for name in OWN:
        text = text_of(name)
        named |= set(re.findall(r'data-t(?:-\w+)?(?:"|\')?\s*[=:]\s*"([a-z][\w.-]*)"', text))
        named |= set(re.findall(r'(?:\bt|\bsay)\("([a-z][\w.-]*)"', text))
    assert len(named) > 60
    assert named <= strings("en").keys()


def test_nothing_is_loaded_from_other_servers() -> None:
    addresses = {
        address
        for name in FILES
        if not name.endswith("LICENSE")
        for address in re.findall(r"(?:https?:)?//[\w-]+\.[\w.-]+[^\s\"')]*", text_of(name))
    }
    # the origin of the library in a comment, and the name of a document type
    assert addresses <= {"https://github.com/leeoniya/uPlot", "http://www.w3.org/2000/svg"}


def test_text_is_never_read_as_html_and_nothing_is_inline() -> None:
    page = text_of("index.html")
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?! src=)", page)
    for name in OWN:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text_of(name)
        ), name
        if name.endswith(".js"):
            assert text_of(name).startswith('"use strict";'), name


NODE = """
const vm = require("vm"), fs = require("fs");
const window = {}, cases = JSON.parse(fs.readFileSync(0, "utf8"));
vm.runInNewContext(fs.readFileSync(process.argv[1], "utf8"), { window });
console.log(JSON.stringify(vm.runInNewContext(process.argv[2], { elman: window.elman, cases })));
"""


needs_node = pytest.mark.skipif(
    shutil.which("node") is None, reason="needs node to run the script of the page"
)


def run_script(name: str, expression: str, cases: Any) -> Any:
    """The value of an expression of `cases` and `elman`, in JavaScript, after a script of the page was run."""
    program = ["node", "-e", NODE, str(FOLDER / "js" / name), expression]
    ran = subprocess.run(program, input=json.dumps(cases), capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


@needs_node
def test_the_page_lists_letters_as_tables_do() -> None:
    tokens = [*map(chr, range(0x10FF, 0x1201)), "한", "ㄴ", "a", "\n", "<unk>", "bytes:\\xed"]
    listed = run_script("jamo.js", "cases.map((one) => elman.letterOf(one, true))", tokens)
    assert listed == [READABLE.get(token) for token in tokens]
    in_text = run_script("jamo.js", "cases.map((one) => elman.letterOf(one))", tokens)
    assert in_text == [READABLE[token][-1] if token in READABLE else None for token in tokens]


@needs_node
def test_the_page_computes_the_distribution_of_the_sampler() -> None:
    rng = np.random.default_rng(0)
    cases, expected, known = [], [], []
    for temperature in (0.0, 0.3, 1.0, 2.0):
        for top_k in (0, 1, 7):
            for top_p in (1.0, 0.9, 0.2):
                for count in (50, 20):  # all candidates, or only the most probable ones
                    logits = rng.normal(size=50) * 2
                    ln_probs = np.sort(logits - np.log(np.exp(logits).sum()))[::-1]
                    rest = {"mass": float(np.exp(ln_probs[count:]).sum()), "count": 50 - count}
                    settings = {"temperature": temperature, "topK": top_k, "topP": top_p}
                    cases.append({"lnProbs": ln_probs[:count].tolist(), "settings": settings, "rest": rest})
                    expected.append(Sampler(temperature, top_k, top_p).distribution(ln_probs)[:count])
                    known.append(count == 50)
    reshaped = "cases.map((one) => elman.reshape(one.lnProbs, one.settings, one.rest))"
    found = run_script("sampling.js", reshaped, cases)
    exact = [one["exact"] for one in found]
    assert all(is_exact for is_exact, all_known in zip(exact, known, strict=True) if all_known)
    assert not all(exact)
    for one, right in zip(found, expected, strict=True):
        if one["exact"]:
            np.testing.assert_allclose(one["probabilities"], right, rtol=1e-9, atol=1e-12)
