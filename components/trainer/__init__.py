"""The call of a run_fn."""
