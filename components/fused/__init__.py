"""Runs several stages in one container, one after another; `taxiway.fusion` compiles pipelines to such tasks."""
