"""What is recorded of a text is what the server would answer."""

import json

from elman.inspection.unroll import unroll
from elman.recording.recorded_text import parts_of, record_inside
from support.looked import network, recurrent


def test_the_unrolled_network_is_recorded() -> None:
    lm = network("lstm", "two layers")
    text = "tom was watching tv\nmary was"
    found = record_inside(lm, text, parts_of(recurrent(lm)))["unrolled"]
    assert found == unroll(lm, text).as_json(lm)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
