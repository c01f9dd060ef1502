"""TFT without a Beam pipeline: one pass over columns for each level of analyzers."""
