"""POST /unroll: the library's numbers, within limits."""

from typing import Any

import numpy as np
import pytest

from elman.inspection.unroll import STEPS, unroll
from elman.serving.schemas import Limits
from support.every_kind import word_model
from support.looked import CELLS, network
from support.tiny import text_model

TEXT = "tom was watching tv\nmary was"


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    cells = {cell: network(cell, "two layers", dtype=np.float32, H=12) for cell in CELLS}
    return {**cells, "characters": text_model("char", "ab ba", H=12), "n-gram": word_model("n-gram")}


@pytest.fixture(scope="module")
def unroller(serve: Any, networks: dict[str, Any]) -> Any:
    return serve(networks, Limits(inside_tokens=64, inside_values=300))


@pytest.mark.parametrize("cell", CELLS)
def test_the_answer_has_the_numbers_of_the_library(
    unroller: Any, networks: dict[str, Any], cell: str
) -> None:
    answer = unroller.post("/unroll", json={"model": cell, "text": TEXT})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found.pop("model") == cell
    steps = 5  # whose square times 12 units stays within 300 values
    assert found == unroll(networks[cell], TEXT, steps).as_json(networks[cell])
    assert (len(found["steps"]), found["first"]) == (5, 3)


def test_the_work_is_limited_for_texts_and_models_of_any_size(serve: Any, networks: dict[str, Any]) -> None:
    text = "tom was " * 30
    roomy = serve(networks, Limits(inside_values=10**9)).post("/unroll", json={"text": text})
    assert len(roomy.json()["steps"]) == STEPS
    narrow = serve(networks, Limits(inside_values=1)).post("/unroll", json={"text": text})
    assert len(narrow.json()["steps"]) == 2


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"text": ""}, 400, "text"),
        ({"text": " "}, 400, "text"),
        ({"text": 3}, 400, "text"),
        ({}, 400, "text"),
        ({"text": "tom " * 65}, 400, "text"),
        ({"text": TEXT, "model": "n-gram"}, 400, "model"),
        ({"text": TEXT, "model": "other"}, 404, "model"),
        ({"text": TEXT, "steps": 3}, 400, "steps"),
        ({"text": "☃", "model": "characters"}, 400, "text"),
    ],
)
def test_what_cannot_be_unrolled_is_refused(
    unroller: Any, fields: dict[str, Any], status: int, param: str
) -> None:
    answer = unroller.post("/unroll", json=fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text


def test_the_openapi_document_has_the_endpoint(unroller: Any) -> None:
    assert "/unroll" in unroller.get("/openapi.json").json()["paths"]
