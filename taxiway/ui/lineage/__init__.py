"""The pages on lineage: what an artifact was made from, and what came of it."""
