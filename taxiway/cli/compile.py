"""`taxiway compile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from taxiway.cli.options import Fuse, InlineModules, PipelineName, Profiles


def compile_command(
    pipeline: PipelineName,
    output: Annotated[Path, typer.Option("--output", "-o", help="The YAML file to write.")],
    profile: Profiles = [],  # noqa: B006
    inline_modules: InlineModules = False,
    fuse: Fuse = False,
    kubernetes: Annotated[
        bool,
        typer.Option("--kubernetes", help="Write custom resources for `kubectl apply`."),
    ] = False,
) -> None:
    """Compile a pipeline to IR 2.1.0, which open-source Kubeflow accepts."""
    from taxiway.kubeflow import compilation

    compiled = compilation.compiled(pipeline, profile, inline_modules, fuse=fuse)
    compilation.write(compiled, output, kubernetes=kubernetes)
    print(f"wrote {output}")
