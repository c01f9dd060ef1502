"""Arguments and options shared by several commands, and what goes with them."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from components.contract.errors import UserError

PipelineName = Annotated[
    str, typer.Argument(metavar="PIPELINE", help="A folder in pipelines/, a Python file, or a compiled YAML file.")
]
Parameters = Annotated[
    list[str],
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A pipeline parameter; lists and dicts as JSON."),
]
Profiles = Annotated[
    list[str], typer.Option("--profile", metavar="NAME", help="A resource profile of the pipeline; repeatable.")
]
InlineModules = Annotated[
    bool, typer.Option("--inline-modules", help="Embed the source of your modules in the compiled pipeline.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        envvar="KF_PIPELINES_SA_TOKEN_PATH",
        help="File with a token for Kubeflow; read for every request.",
    ),
]
CookieFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="File with a session's cookies for Kubeflow; read for every request."),
]
Header = Annotated[
    str, typer.Option(metavar="'NAME: VALUE'", help="A header for Kubeflow, such as 'kubeflow-userid: EMAIL'.")
]
TlsCert = Annotated[Path | None, typer.Option(metavar="FILE", help="Server certificate, PEM.")]
TlsKey = Annotated[Path | None, typer.Option(metavar="FILE", help="Private key of the certificate.")]
TlsClientCa = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="CA certificates for clients; clients without a certificate are refused."),
]
InferenceTables = Annotated[
    str,
    typer.Option(
        metavar="FOLDER|URL",
        help="Record requests and answers in inference tables, one per model, in this folder; default with "
        "--inference-share: .taxiway/monitoring.",
    ),
]
InferenceShare = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Share of requests to record, above 0 to 1; default with --inference-tables: 0.1.",
    ),
]
PrivacyFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="YAML file with a section `privacy:`: columns to drop, cut, generalise or hash before they are recorded.",
    ),
]
Fuse = Annotated[bool, typer.Option("--fuse", help="Run neighbouring stages in one pod: fewer pods, less waiting.")]


def parsed_parameters(given: list[str]) -> dict[str, Any]:
    """Parses `NAME=VALUE` strings into a dict.

    Raises:
        UserError: A string has no `=`, or a name is given twice.
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UserError(
                f"the parameter {text!r} is not of the form NAME=VALUE", fix=f"write --param {name or 'NAME'}=VALUE"
            )
        if name in found:
            raise UserError(f"the parameter {name!r} is given twice")
        found[name] = value
    return found


def require_new(output: Path) -> None:
    """Raises UserError if a file that a command writes for people to change is there already."""
    if output.exists():
        raise UserError(f"{output} exists", fix="remove it, or name another file with -o")


def stopped() -> threading.Event:
    """Is set by Ctrl-C and SIGTERM: what has begun is finished."""
    stopped = threading.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: stopped.set())
    return stopped
