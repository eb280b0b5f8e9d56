"""The built-in world: an endless corpus, English or Korean, whose exact entropy is known."""

from elman.text.rooms.world import VERSION, Place, World, write_split

__all__ = ["VERSION", "Place", "World", "write_split"]
