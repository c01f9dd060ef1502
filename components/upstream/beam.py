"""Beam's private names."""

from __future__ import annotations

import argparse

from apache_beam.options.pipeline_options import PipelineOptions

VERSION = "2.77.0"


def flags() -> list[str]:
    """The flags of all pipeline options that Beam and its runners define here."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        try:
            # The hook that Beam documents for classes of one's own; it has no public name.
            options._add_argparse_args(parser)
        except argparse.ArgumentError:
            # Two classes of options share a flag; the first one's will do to know its name.
            continue
    return [flag for action in parser._actions for flag in action.option_strings]
