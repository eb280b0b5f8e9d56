"""Stop strings: where a text that comes in pieces ends."""

from collections.abc import Sequence


class Stops:
    """Hands on a text up to the first stop string, and holds back what may be the beginning of one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Return what is certain of the text by now; ``stopped`` tells that a stop string came."""
        whole = self._held + text
        places = [(place, stop) for stop in self._stops if (place := whole.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return whole[: min(places)[0]]
        held = max((_overlap(whole, stop) for stop in self._stops), default=0)
        self._held = whole[len(whole) - held :]
        return whole[: len(whole) - held]

    def finish(self) -> str:
        """Return what is held back, since no more text comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of a text that a stop string begins with."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
