"""Compiled pipelines: the spec as typed values, and its placeholders."""
