"""How far two sets of rows are apart: measures between summaries, one over all columns together, and the drift rows."""
