"""Stop strings: wherever the text is split, it ends before the first of them."""

from hypothesis import given
from hypothesis import strategies as st

from elman.serving.stops import StopScanner, StopStrings


def through(stops: list[str], chunks: list[str]) -> tuple[str, bool]:
    scan, out = StopScanner(StopStrings(stops)), ""
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


def end_of_the_first(stops: list[str], whole: str) -> int | None:
    """Return the length of a text before the stop string that ends first (of several, the longest), by searching."""
    for end in range(1, len(whole) + 1):
        if found := [len(stop) for stop in stops if whole[:end].endswith(stop)]:
            return end - max(found)
    return None


@given(
    st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=6),
    st.lists(st.text("abc", max_size=9), max_size=12),
)
def test_the_automaton_agrees_with_a_search(stops: list[str], chunks: list[str]) -> None:
    whole = "".join(chunks)
    end = end_of_the_first(stops, whole)
    assert through(stops, chunks) == (whole if end is None else whole[:end], end is not None)


@given(st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=3), st.text("ab", max_size=12))
def test_no_more_is_held_back_than_may_begin_a_stop_string(stops: list[str], text: str) -> None:
    scan = StopScanner(StopStrings(stops))
    out = scan.push(text)
    if not scan.found:
        held = text[len(out) :]
        begins = [n for n in range(1, len(text) + 1) if any(stop.startswith(text[-n:]) for stop in stops)]
        assert len(held) == max(begins, default=0)


def test_each_character_is_followed_a_bounded_number_of_times() -> None:
    stops = StopStrings([character + "a" * 999 for character in "abcdefghijklmnop"])
    lookups = 0

    class Counted(dict[str, int]):
        def __contains__(self, key: object) -> bool:
            nonlocal lookups
            lookups += 1
            return super().__contains__(key)

    stops._children = [Counted(children) for children in stops._children]
    scan = StopScanner(stops)
    text = ("p" + "a" * 998 + "x") * 10
    assert "".join(scan.push(character) for character in text) + scan.finish() == text
    assert lookups <= 2 * len(text)


def test_text_that_cannot_begin_a_stop_string_is_not_held_back() -> None:
    scan = StopScanner(StopStrings(["ab"]))
    assert scan.push("xa") == "x"
    assert scan.push("a") == "a"
    assert scan.push("c") == "ac"
