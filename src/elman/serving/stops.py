"""Stop strings: where in a text that comes in parts the first of several strings ends.

The automaton of Aho and Corasick, "Efficient string matching: an aid to bibliographic search" (1975): each character
of the text is read once, however many strings there are and however long they are.
"""

from collections import deque
from collections.abc import Sequence


class StopStrings:
    """The automaton of some strings. It does not change, so any number of texts may be scanned with it at once."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._children: list[dict[str, int]] = [{}]  # of each node, by the next character; node 0 is the root
        self._fallback = [0]  # the node of the longest end of a node's string that also begins a stop string
        self.depth = [0]  # the length of a node's string
        self.matched = [0]  # the length of the longest stop string that ends at a node; 0: none does
        for stop in stops:
            self._add(stop)
        self._link()

    def _add(self, stop: str) -> None:
        node = 0
        for character in stop:
            child = self._children[node].get(character)
            if child is None:
                child = self._children[node][character] = len(self._children)
                self._children.append({})
                self._fallback.append(0)
                self.depth.append(self.depth[node] + 1)
                self.matched.append(0)
            node = child
        self.matched[node] = len(stop)

    def _link(self) -> None:
        """Find the fallbacks, those of shorter strings first."""
        queue = deque(self._children[0].values())
        while queue:
            node = queue.popleft()
            for character, child in self._children[node].items():
                self._fallback[child] = self.after(self._fallback[node], character)
                self.matched[child] = self.matched[child] or self.matched[self._fallback[child]]
                queue.append(child)

    def after(self, node: int, character: str) -> int:
        """Return the node that follows a node after a character."""
        while node and character not in self._children[node]:
            node = self._fallback[node]
        return self._children[node].get(character, 0)


class StopScanner:
    """Passes a text on up to the stop string that ends first, and holds back what may be the beginning of one."""

    def __init__(self, stops: StopStrings) -> None:
        self._stops, self._node = stops, 0
        self._pending = ""
        self.found = False

    def push(self, text: str) -> str:
        """Add to the text; return what is certain to come before any stop string."""
        held = len(self._pending)
        whole = self._pending + text
        for place, character in enumerate(text, held + 1):
            self._node = self._stops.after(self._node, character)
            if matched := self._stops.matched[self._node]:
                self.found, self._pending = True, ""
                return whole[: place - matched]
        ready = len(whole) - self._stops.depth[self._node]
        self._pending = whole[ready:]
        return whole[:ready]

    def finish(self) -> str:
        """Return what was held back, at the end of the text."""
        pending, self._pending = self._pending, ""
        return pending
