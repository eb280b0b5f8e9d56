"""Stop strings: wherever the text is split, it ends before the first of them."""

from hypothesis import given
from hypothesis import strategies as st

from elman.serving.continuation import StopStrings


def through(stops: list[str], chunks: list[str]) -> tuple[str, bool]:
    scan, out = StopStrings(stops), ""
    for chunk in chunks:
        out += scan.push(chunk)
        if scan.found:
            return out, True
    return out + scan.finish(), False


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    st.lists(st.text("ab", max_size=4), max_size=8),
)
def test_the_text_ends_before_the_first_stop_string(stops: list[str], chunks: list[str]) -> None:
    whole = "".join(chunks)
    out, stopped = through(stops, chunks)
    assert stopped == any(stop in whole for stop in stops)
    assert whole.startswith(out)
    if not stopped:
        assert out == whole
    else:
        assert not any(stop in out for stop in stops)
        assert any(whole.startswith(stop, len(out)) for stop in stops)


def test_text_that_cannot_begin_a_stop_string_is_not_held_back() -> None:
    scan = StopStrings(["ab"])
    assert scan.push("xa") == "x"
    assert scan.push("a") == "a"
    assert scan.push("c") == "ac"
