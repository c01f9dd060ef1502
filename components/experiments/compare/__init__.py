"""Comparisons of two arms at one fixed size; who looks more than once needs components/experiments/sequential.py."""
