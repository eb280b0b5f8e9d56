"""The rooms world as a language model: its true distribution, which no model can beat on its text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elman.errors import VocabularyError
from elman.models.base import Ids, Mask, checked_ids, checked_mask
from elman.one_line import one_line
from elman.text.rooms import Place, World
from elman.text.tokenizers import EOS


@dataclass(frozen=True)
class RoomsState:
    """The place of each sequence in the world; None after a line that the world cannot generate."""

    places: tuple[Place | None, ...]

    @property
    def batch_size(self) -> int:
        """The number N of sequences."""
        return len(self.places)

    def select(self, rows: Sequence[int] | Ids) -> "RoomsState":
        """Return the state of these sequences, in this order."""
        return RoomsState(tuple(self.places[row] for row in rows))

    def join(self, *others: "RoomsState") -> "RoomsState":
        """Return the sequences of this state followed by those of the others."""
        return RoomsState(sum((other.places for other in others), self.places))


class RoomsTruth:
    """The true P(next token | past) of a world, over the ids of a vocabulary.

    A token that the world cannot generate next has ln P = -inf. What follows it has no true probability: it is
    uniform until the next `<eos>`, after which the world starts again. `<eos>` as the very first token has
    ln P = -inf too, but leads to the start of a line.

    Raises:
        VocabularyError: the vocabulary lacks a token of the world, or has one twice.
    """

    def __init__(self, world: World, vocabulary_tokens: Sequence[str]) -> None:
        self._world = world
        self._tokens = tuple(vocabulary_tokens)
        self._ids = {token: id_ for id_, token in enumerate(self._tokens)}
        if missing := [token for token in world.vocabulary if token not in self._ids]:
            raise VocabularyError(
                f"the vocabulary lacks {len(missing)} tokens of the rooms world, the first being"
                f" {missing[0]!r}; build it from the training text of the same language"
            )
        if len(self._ids) < len(self._tokens):
            raise VocabularyError("the vocabulary has a token twice; list each token once")

    def __repr__(self) -> str:
        return one_line(self, f"language {self._world.language!r}", f"vocabulary {self.vocab_size:,}")

    @property
    def vocab_size(self) -> int:
        """V, the number of tokens in the vocabulary."""
        return len(self._tokens)

    def start(self, batch_size: int = 1) -> RoomsState:
        """Return the state of N sequences at the start of a line."""
        return RoomsState((Place(),) * batch_size)

    def feed(self, ids: Ids, state: RoomsState) -> RoomsState:
        """Read ids (N, T) after ``state``; return the state that follows."""
        return self.target_log_probs(ids, state)[1]

    def next_log_probs(self, state: RoomsState) -> NDArray[np.float64]:
        """Return ln P(next = v | past) for every v: (N, V)."""
        log_probs = np.full((state.batch_size, self.vocab_size), -np.inf)  # (N, V)
        for row, place in zip(log_probs, state.places, strict=True):
            if place is None:
                row[:] = -math.log(self.vocab_size)
                continue
            for token, probability in self._world.next_tokens(place).items():
                row[self._ids[token]] = math.log(probability)
        return log_probs

    def target_log_probs(
        self, ids: Ids, state: RoomsState, counted: Mask | None = None
    ) -> tuple[NDArray[np.float64], RoomsState]:
        """Return ln P(ids[n, t] | past of sequence n, ids[n, :t]) as (N, T), and the state after reading ids.

        Where ``counted`` (N, T) is False, the result is 0.
        """
        ids = checked_ids(ids, state.batch_size, self.vocab_size)
        log_probs = np.empty(ids.shape)  # (N, T)
        places = list(state.places)
        for n, sequence in enumerate(ids.tolist()):
            for t, id_ in enumerate(sequence):
                log_probs[n, t], places[n] = self._step(places[n], self._tokens[id_])
        if counted is not None:
            log_probs[~checked_mask(counted, ids.shape)] = 0
        return log_probs, RoomsState(tuple(places))

    def _step(self, place: Place | None, token: str) -> tuple[float, Place | None]:
        """Return ln P(token) at a place, and the place after it."""
        if place is None:
            return -math.log(self.vocab_size), Place() if token == EOS else None
        possible = self._world.next_tokens(place)
        if token in possible:
            return math.log(possible[token]), self._world.read(place, token)
        return -math.inf, Place() if token == EOS else None
