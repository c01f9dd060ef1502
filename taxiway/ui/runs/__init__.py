"""The pages on runs: the list, a run, its logs, artifacts and lineage, and what can be done with it."""
