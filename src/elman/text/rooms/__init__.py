"""The built-in world: an endless corpus, English or Korean, whose exact entropy is known."""

from elman.text.rooms.splits import VERSION, write_split
from elman.text.rooms.world import Place, World

__all__ = ["VERSION", "Place", "World", "write_split"]
