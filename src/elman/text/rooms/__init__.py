"""The rooms world: an endless generated corpus, English or Korean, with exactly known entropy."""

from elman.text.rooms.world import QUESTIONS, VERSION, Place, World, write_split

__all__ = ["QUESTIONS", "VERSION", "Place", "World", "write_split"]
