"""The word count does not depend on the chunks of a text."""

from hypothesis import given, settings
from hypothesis import strategies as st

from elman.text.stream import WordCount

TEXTS = st.text(st.sampled_from("a한 \n\t\u3000\u00a0é"), max_size=12)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=5))
def test_words_in_pieces_are_those_of_the_whole(pieces: list[str]) -> None:
    count = WordCount()
    for piece in pieces:
        count.add(piece)
    assert count.words == len("".join(pieces).split())


@settings(deadline=None)
@given(TEXTS, st.integers(0, 36))
def test_bytes_may_be_cut_within_a_character(text: str, place: int) -> None:
    count, raw = WordCount(), text.encode()
    count.add_bytes(raw[:place])
    count.add_bytes(raw[place:])
    assert count.words == len(text.split())
