"""Benchmarks of Taxiway against TFX and KServe."""
