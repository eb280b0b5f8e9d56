"""The rooms world in Korean; particles are tokens of their own."""

from collections.abc import Sequence

from elman.text.rooms.grammar import Grammar, Sentence

_FIRST_SYLLABLE = ord("가")
_FINALS = 28  # the final consonants that a Hangul syllable can have, "none" being the first


def _ends_in_vowel(word: str) -> bool:
    return (ord(word[-1]) - _FIRST_SYLLABLE) % _FINALS == 0


def _inflect(words: Sequence[str]) -> Sentence:
    """Choose between 은/는, 이/가, 을/를: the first after a final consonant, the second after a vowel."""
    return tuple(
        word.split("/")[_ends_in_vowel(words[place - 1])] if "/" in word else word
        for place, word in enumerate(words)
    )


KOREAN = Grammar(
    names=("톰", "존", "해리", "마크", "메리", "앤", "수잔", "리사"),
    openings={
        "{x} 은/는 자기 방 에서 TV 를 보고 있었다 .": 5,
        "{x} 은/는 자기 방 에서 책 을 읽고 있었다 .": 4,
        "{x} 은/는 자기 방 에서 자고 있었다 .": 3,
        "{x} 은/는 자기 방 에서 음악 을 듣고 있었다 .": 3,
        "{x} 은/는 자기 방 에서 공부하고 있었다 .": 2,
        "{x} 은/는 자기 방 에서 차 를 마시고 있었다 .": 2,
        "{x} 은/는 자기 방 에서 피아노 를 치고 있었다 .": 1,
        "{x} 은/는 자기 방 에서 친구 와 전화하고 있었다 .": 1,
        "{x} 은/는 자기 방 에서 긴 편지 를 쓰고 있었다 .": 1,
    },
    entries={
        "{x} 이/가 방 에 들어왔다 .": 5,
        "{x} 이/가 들어왔다 .": 3,
        "{x} 이/가 방 으로 걸어왔다 .": 2,
        "{x} 이/가 방 으로 뛰어왔다 .": 1,
        "{x} 이/가 조용히 들어왔다 .": 1,
    },
    # The subject of an aside is marked 은/는, so that a name and 이/가 announce the greeting.
    asides={
        "{x} 은/는 {y} 을/를 불렀다 .": 4,
        "개 가 짖었다 .": 3,
        "전화 가 울렸다 .": 3,
        "개 가 {x} 을/를 보고 짖었다 .": 2,
        "고양이 가 {x} 을/를 쳐다보았다 .": 2,
        "{x} 은/는 {y} 을/를 찾고 있었다 .": 2,
        "{x} 은/는 {y} 에게 손 을 흔들었다 .": 2,
        "{x} 은/는 말 이 없었다 .": 2,
        "{x} 은/는 배 가 고팠다 .": 1,
        "비 가 내렸다 .": 2,
        "밤 이 깊었다 .": 1,
        "자동차 가 지나갔다 .": 2,
        "창문 이 열려 있었다 .": 1,
        "불 이 켜져 있었다 .": 1,
        "시계 가 아홉 시 를 쳤다 .": 1,
        "밥 이 다 되었다 .": 1,
    },
    question="{x} 이/가 {y} 에게 인사했다 .",
    inflect=_inflect,
)
