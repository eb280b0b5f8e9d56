"""Inspecting models over HTTP: the library's numbers, within limits, while the engines serve texts."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import numpy as np
import pytest

import elman
from elman.inspection.text_properties import PROPERTIES
from elman.serving.schemas import Limits, Property, RequestRefused
from elman.serving.state import SideThread
from support.every_kind import word_model
from support.looked import network
from support.tiny import text_model
from support.waiting import LONG

TEXT = "tom was watching tv\nmary was"


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    options: dict[str, Any] = {"dtype": np.float32, "H": 12}
    return {
        "lstm": network("lstm", "two layers", **options),
        "gru": text_model("char", cell="gru", **options),
        "rnn": text_model("byte", D=0, **options),
        "n-gram": word_model("n-gram"),
        "mixture": word_model("mixture"),
    }


@pytest.fixture(scope="module")
def inspector(serve: Any, networks: dict[str, Any]) -> Any:
    return serve(networks, Limits(inside_tokens=64, inside_values=600))


def post(client: Any, path: str, **fields: Any) -> Any:
    answer = client.post(path, json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_models_are_described(inspector: Any) -> None:
    models = {each.pop("id"): each for each in inspector.get("/inside/models").json()["models"]}
    lstm, other = models["lstm"], models["n-gram"]
    V, D, H = lstm.pop("vocabulary"), 4, 12
    weights = V * D + 4 * H * (D + H + 1) + 4 * H * (H + H + 1) + H * V + V
    assert lstm.pop("comparable") == ["n-gram", "mixture"]
    assert lstm == {"unit": "word", "cell": "lstm", "layers": 2, "hidden": H, "parameters": weights}
    assert models["gru"]["comparable"] == models["rnn"]["comparable"] == []
    assert models["gru"]["unit"] == "character"
    assert [other[name] for name in ("cell", "layers", "hidden", "parameters")] == [None] * 4


@pytest.mark.parametrize(
    ("model", "text"), [("lstm", "tom zeppelin was"), ("gru", "tom was\nin"), ("rnn", "말 a")]
)
def test_values_are_those_of_the_library(inspector: Any, networks: Any, model: str, text: str) -> None:
    traced = elman.trace(networks[model], text)
    for layer in range(len(traced.layers)):
        for what in traced.choices:
            found = post(inspector, "/inside", model=model, text=text, layer=layer, what=what)
            assert (found["cell"], found["layer"], found["what"], found["hidden"]) == (model, layer, what, 12)
            assert (found["choices"], found["layers"]) == (list(traced.choices), len(traced.layers))
            np.testing.assert_allclose(found["values"], traced.values(what, layer), atol=6e-5)
    scored = post(inspector, "/score", model=model, text=text, eos=False)["results"][0]["tokens"]
    assert found["tokens"] == [{name: token[name] for name in ("token", "start", "end")} for token in scored]


def test_the_top_layer_and_its_h_are_the_defaults(inspector: Any) -> None:
    explicit = post(inspector, "/inside", text=TEXT, layer=1, what="h")
    assert post(inspector, "/inside", text=TEXT) == explicit


def test_units_are_those_of_the_library(inspector: Any, networks: Any) -> None:
    for of in ("line_position", (4, 16)):
        wanted = elman.correlated_units(networks["lstm"], TEXT, of, "c", 0, top=3)  # type: ignore[arg-type]
        fields = {"property": of} if isinstance(of, str) else {"span": of}
        found = post(inspector, "/units", text=TEXT, what="c", layer=0, top=3, **fields)
        assert [each["unit"] for each in found["units"]] == [each.unit for each in wanted]
        assert [each["correlation"] for each in found["units"]] == pytest.approx(
            [each.correlation for each in wanted]
        )
    assert (found["property"], found["span"], found["layer"]) == (None, [4, 16], 0)
    assert set(get_args(Property)) == set(PROPERTIES)


def test_without_a_property_the_one_followed_best_is_chosen(inspector: Any) -> None:
    found = post(inspector, "/units", text=TEXT, top=1)
    assert found == post(inspector, "/units", text=TEXT, top=1, property=found["property"])


@pytest.mark.parametrize("model", ["lstm", "n-gram", "mixture"])
def test_influences_are_those_of_the_library(inspector: Any, networks: Any, model: str) -> None:
    rng = np.random.default_rng(3)
    wanted = elman.influence(networks[model], TEXT, 6, 2, likely=False, rng=rng)
    found = post(
        inspector, "/influence", model=model, text=TEXT, index=6, replacements=2, likely=False, seed=3
    )
    assert found["bits"] == pytest.approx(wanted.bits.tolist(), rel=1e-5)
    assert found["replacements"] == [list(row.replacements) for row in wanted]
    assert found["surprisal_bits"] == pytest.approx(wanted.surprisal_bits)
    assert (found["token"].strip(), len(found["inputs"])) == ("was", 6)
    assert (found["inputs"][2]["start"], found["inputs"][2]["end"]) == (8, 16)


def test_a_text_of_too_many_influences_is_refused(serve: Any, networks: Any) -> None:
    small = serve({"lstm": networks["lstm"]}, Limits(influence_tokens=70))
    body = {"text": TEXT, "index": 6}
    answer = small.post("/influence", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "limit_exceeded"
    assert small.post("/influence", json={**body, "replacements": 1}).status_code == 200


def test_examples_are_in_words_of_the_model(inspector: Any, networks: Any) -> None:
    for model in ("lstm", "gru", "rnn", "mixture"):
        found = post(inspector, "/examples", model=model)
        assert found["opening"] is None
        assert all(text in networks[model] for pair in found["pairs"] for text in pair["texts"])
        assert "swapped" in [pair["kind"] for pair in found["pairs"]] or model in ("gru", "rnn")


def test_norms_are_those_of_the_library(inspector: Any, networks: Any) -> None:
    wanted = elman.through_time(networks["lstm"], TEXT, 4)
    found = post(inspector, "/through-time", text=TEXT, index=4)
    assert found["norms"] == pytest.approx(wanted.norms.tolist())
    assert found["surprisal_bits"] == pytest.approx(wanted.surprisal_bits)
    assert found["token"] == "\n"
    assert found["inputs"][0] == {"token": "\n", "start": 0, "end": 0}
    assert [each["token"].strip() for each in found["inputs"][1:]] == ["tom", "was", "watching", "tv"]
    assert [(each["start"], each["end"]) for each in found["inputs"][1:]] == [
        (0, 3),
        (4, 7),
        (8, 16),
        (17, 19),
    ]


INSIDE = {"text": TEXT}
UNITS = {"text": TEXT, "property": "line_position"}
TIME = {"text": TEXT, "index": 1}
FIELDS: list[tuple[str, dict[str, Any], str]] = [
    *[
        (path, {**base, **wrong}, param)
        for path, base in (("/inside", INSIDE), ("/units", UNITS), ("/through-time", TIME))
        for wrong, param in (
            ({"text": ""}, "text"),
            ({"text": " "}, "text"),
            ({"text": 3}, "text"),
            ({"text": None}, "text"),
            ({"text": ["tom"]}, "text"),
            ({"text": "tom " * 65}, "text"),
            ({"model": "n-gram"}, "model"),
            ({"model": "mixture"}, "model"),
            ({"depth": 1}, "depth"),
        )
    ],
    *[
        (path, {**base, **wrong}, param)
        for path, base in (("/inside", INSIDE), ("/units", UNITS))
        for wrong, param in (
            ({"layer": 2}, "layer"),
            ({"layer": -1}, "layer"),
            ({"layer": 10**30}, "layer"),
            ({"layer": 0.5}, "layer"),
            ({"layer": True}, "layer"),
            ({"what": "r"}, "what"),
            ({"what": "x"}, "what"),
            ({"what": 1}, "what"),
            ({"text": "tom " * 51}, "text"),
        )
    ],
    ("/units", {**UNITS, "span": [0, 3]}, "property"),
    ("/units", {**UNITS, "property": "mood"}, "property"),
    ("/units", {**UNITS, "property": "inside_quotes"}, "property"),
    ("/units", {**UNITS, "top": 0}, "top"),
    ("/units", {**UNITS, "top": 10**9}, "top"),
    *[
        ("/units", {"text": TEXT, "span": span}, "span")
        for span in ([0, 100], [-1, 3], [3, 3], [5, 2], [1], [1, 2, 3], ["a", "b"], 3, [0, 28], [0.5, 2])
    ],
    ("/through-time", {"text": TEXT}, "index"),
    *[
        (path, {**TIME, "index": index}, "index")
        for path in ("/through-time", "/influence")
        for index in (-1, 7, 10**30, 1.5, "1", True, None)
    ],
    ("/through-time", {"text": "tom zeppelin", "index": 1}, "index"),
    ("/influence", {"text": "tom zeppelin", "index": 1}, "index"),
    ("/influence", {**TIME, "replacements": 0}, "replacements"),
    ("/influence", {**TIME, "seed": -1}, "seed"),
    ("/influence", {**TIME, "text": "tom " * 65}, "text"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "fields", "param"), FIELDS)
def test_a_wrong_field_is_named(inspector: Any, path: str, fields: dict[str, Any], param: str) -> None:
    answer = inspector.post(path, json=fields)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == param, error
    if fields.get("property") == "inside_quotes":
        assert error["code"] == "constant_property"
    if param == "model":
        assert error["code"] == "no_hidden_units"
        assert "no hidden units of its own" in error["message"]


@pytest.mark.parametrize("path", ["/inside", "/units", "/through-time", "/influence"])
def test_an_invalid_body_is_refused(inspector: Any, path: str) -> None:
    for body in (b"", b"[]", b'{"text": "tom", "index": NaN}', b'{"text": "\\ud800"}', b'{"text": "\xff"}'):
        answer = inspector.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400, answer.text
    needed = {"/units": {"property": "space"}, "/through-time": {"index": 0}, "/influence": {"index": 0}}.get(
        path, {}
    )
    unknown = inspector.post(path, json={"text": "tom was", "model": "other", **needed})
    assert unknown.status_code == 404
    assert inspector.get(path).status_code == 405


def test_inspections_and_texts_at_the_same_time_do_not_change_each_other(inspector: Any) -> None:
    def ask(k: int) -> Any:
        if k % 4 == 0:
            body = {"prompt": "tom was", "max_tokens": 30, "seed": k, "model": "lstm"}
            return post(inspector, "/v1/completions", **body)["choices"]
        if k % 4 == 1:
            return post(inspector, "/inside", text=TEXT, layer=k % 2, what="c")
        if k % 4 == 2:
            return post(inspector, "/through-time", text=TEXT, index=k % 7)
        return post(inspector, "/score", text=TEXT)["results"]

    alone = [ask(k) for k in range(16)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(16))) == alone


def test_the_queue_of_the_side_thread_is_limited() -> None:
    side, begun, released = SideThread(max_pending=3), threading.Event(), threading.Event()

    def task() -> bool:
        begun.set()
        return released.wait(LONG)

    first = side.submit(task)
    assert begun.wait(LONG)
    second, third = side.submit(lambda: 2), side.submit(lambda: 3)
    with pytest.raises(RequestRefused, match="try again in a moment") as refused:
        side.submit(lambda: 4)
    assert refused.value.status == 429
    assert second.cancel()  # as when its client has left
    fourth = side.submit(lambda: 4)
    released.set()
    assert (first.result(LONG), third.result(LONG), fourth.result(LONG)) == (True, 3, 4)
    side.stop()


def test_an_inspection_that_takes_too_long_ends(
    serve: Any, networks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient, released = serve({"lstm": networks["lstm"]}, Limits(seconds=0.01)), threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr("elman.serving.routes_inside.trace", lambda *_: released.wait(LONG))
        answer = impatient.post("/inside", json={"text": "tom"})
    released.set()
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "time_limit_exceeded"


def test_the_openapi_document_has_the_endpoints(inspector: Any) -> None:
    document = inspector.get("/openapi.json").json()
    for path in ("/inside", "/units", "/through-time", "/influence", "/examples"):
        schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert schema["$ref"].rpartition("/")[2] in document["components"]["schemas"]
    assert "get" in document["paths"]["/inside/models"]
