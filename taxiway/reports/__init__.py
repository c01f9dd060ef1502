"""The report of a run: one page from what the run left on this machine."""
