"""Stop strings: wherever the pieces are cut, the text ends before the first of them."""

from hypothesis import given
from hypothesis import strategies as st

from elman.serving.continuation import Stops


def through(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    scan, out = Stops(stops), ""
    for piece in pieces:
        out += scan.push(piece)
        if scan.stopped:
            return out, True
    return out + scan.finish(), False


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    st.lists(st.text("ab", max_size=4), max_size=8),
)
def test_the_text_ends_before_the_first_stop_string(stops: list[str], pieces: list[str]) -> None:
    whole = "".join(pieces)
    out, stopped = through(stops, pieces)
    assert stopped == any(stop in whole for stop in stops)
    assert whole.startswith(out)
    if not stopped:
        assert out == whole
    else:
        assert not any(stop in out for stop in stops)
        assert any(whole.startswith(stop, len(out)) for stop in stops)


def test_what_cannot_be_a_stop_string_is_not_held_back() -> None:
    scan = Stops(["ab"])
    assert scan.push("xa") == "x"
    assert scan.push("a") == "a"
    assert scan.push("c") == "ac"
