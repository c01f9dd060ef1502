"""Beam's private names."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions

VERSION = "2.77.0"


def flags() -> list[str]:
    """The flags of all pipeline options that the installed Beam and its runners define."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        try:
            # The hook that Beam documents for users' own option classes; it has no public name.
            options._add_argparse_args(parser)
        except argparse.ArgumentError:
            # Two option classes share a flag, whose name is already known from the first.
            continue
    return [flag for action in parser._actions for flag in action.option_strings]
