"""What the loop did, in the lineage: its cycles, what people asked of it, and what it has seen."""

from taxiway.lineage.loop.cycles import history

__all__ = ["history"]
