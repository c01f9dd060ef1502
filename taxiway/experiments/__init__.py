"""Experiments with a served model: which arm is better, by the inference table and the outcomes."""
