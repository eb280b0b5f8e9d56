"""The rooms world in English."""

from collections.abc import Sequence

from elman.text.rooms.grammar import Grammar, Sentence

_HE = ("Tom", "John", "Harry", "Mark")
_SHE = ("Mary", "Ann", "Susan", "Lisa")


def _inflect(words: Sequence[str]) -> Sentence:
    her = words[0] in _SHE
    return tuple(word.split("/")[her] if "/" in word else word for word in words)


ENGLISH = Grammar(
    names=_HE + _SHE,
    openings={
        "{x} was watching TV in his/her room .": 5,
        "{x} was reading a book in his/her room .": 4,
        "{x} was sleeping in his/her room .": 3,
        "{x} was listening to music in his/her room .": 3,
        "{x} was studying in his/her room .": 2,
        "{x} was drinking tea in his/her room .": 2,
        "{x} was playing the piano in his/her room .": 1,
        "{x} was talking on the phone in his/her room .": 1,
        "{x} was writing a long letter in his/her room .": 1,
    },
    entries={
        "{x} came into the room .": 5,
        "{x} came in .": 3,
        "{x} walked into the room .": 2,
        "{x} ran into the room .": 1,
        "{x} entered the room .": 1,
    },
    asides={
        "{x} called {y} .": 4,
        "The dog barked .": 3,
        "The phone rang .": 3,
        "The dog barked at {x} .": 2,
        "The cat looked at {x} .": 2,
        "{x} was looking for {y} .": 2,
        "{x} waved to {y} .": 2,
        "{x} said nothing .": 2,
        "{x} was hungry .": 1,
        "It was raining .": 2,
        "It was late .": 1,
        "A car passed by .": 2,
        "The window was open .": 1,
        "The light was on .": 1,
        "The clock struck nine .": 1,
        "Dinner was ready .": 1,
    },
    question="{x} said hi to {y} .",
    inflect=_inflect,
)
