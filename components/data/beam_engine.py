"""The choice between the direct engine and Apache Beam, and the Beam pipeline of a stage.

Beam is imported only when a pipeline is created, so a stage on the direct engine never loads it.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.contract.errors import UserError

if TYPE_CHECKING:
    import apache_beam as beam

ENGINES = ("direct", "beam")
_LOCAL = ("--runner=DirectRunner", "--direct_num_workers=1", "--direct_running_mode=in_memory")


def uses_beam(engine: str, beam_pipeline_args: Sequence[str]) -> bool:
    """Whether a stage runs on Beam.

    Args:
        engine: `direct` or `beam`.
        beam_pipeline_args: Beam's pipeline options as on a command line; only for `beam`.

    Raises:
        UserError: The engine is unknown, or options were given for the direct engine, which would ignore them.
    """
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r} is unknown", fix='write engine="direct" or engine="beam"')
    if beam_pipeline_args and engine != "beam":
        raise UserError(
            f"beam_pipeline_args {list(beam_pipeline_args)} are given, but the engine is {engine!r}",
            fix='add engine="beam", or remove beam_pipeline_args',
        )
    return engine == "beam"


def pipeline(beam_pipeline_args: Sequence[str] = ()) -> beam.Pipeline:
    """A Beam pipeline, on the DirectRunner in this process unless the options name another runner.

    Raises:
        UserError: The DirectRunner has no such option. Other runners check their own options: a job server announces
            its options only when the job is submitted.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

    arguments = [*_LOCAL, *map(str, beam_pipeline_args)]
    options = PipelineOptions(arguments)
    runner = options.view_as(StandardOptions).runner or ""
    if runner.endswith("DirectRunner"):
        _refuse_unknown(arguments)
    return beam.Pipeline(options=options)


def _refuse_unknown(arguments: list[str]) -> None:
    from components.upstream.beam import flags

    known = flags()
    for flag in (argument.partition("=")[0] for argument in arguments if argument.startswith("--")):
        if flag not in known:
            nearest = difflib.get_close_matches(flag, known, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else "see apache_beam.options.pipeline_options"
            raise UserError(f"beam_pipeline_args: Beam has no option {flag}", fix=hint)
