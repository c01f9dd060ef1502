"""What the monitor did, in the lineage: the windows that it computed, and what it forgot."""
