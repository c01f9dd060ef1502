"""The pages that compare runs: a few side by side, or all of a pipeline in one picture and one table."""
