"""`taxiway route`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from components.contract.errors import UserError
from taxiway.cli.options import InferenceShare, InferenceTables, PrivacyFile

_Addresses = list[str]


def route_command(
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Route file (route.yaml); reloaded when it changes and on SIGHUP."),
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="Model name, if there is no --config.")] = "",
    backend: Annotated[
        _Addresses, typer.Option(metavar="[NAME=]HOST:PORT", help="gRPC address of a model server; repeatable.")
    ] = [],  # noqa: B006 (typer reads it)
    rest_backend: Annotated[
        _Addresses, typer.Option(metavar="[NAME=]HOST:PORT", help="REST address of a model server; repeatable.")
    ] = [],  # noqa: B006 (typer reads it)
    split: Annotated[
        str,
        typer.Option(
            metavar="NAME=WEIGHT,...", help="Traffic split between labels, or between backends if there are several."
        ),
    ] = "",
    sticky_key: Annotated[
        str,
        typer.Option(
            metavar="KEY", help="header:NAME or feature:NAME; requests with the same value go to the same target."
        ),
    ] = "",
    shadow: Annotated[
        str,
        typer.Option(metavar="NAME", help="Target that gets a copy of every request; its answers are not returned."),
    ] = "",
    host: Annotated[str, typer.Option(help="Address to listen on; default: 127.0.0.1.")] = "",
    listen_port: Annotated[int | None, typer.Option(help="gRPC port; 0 picks a free one; default: 8600.")] = None,
    rest_port: Annotated[int | None, typer.Option(help="REST port; 0 picks a free one; default: 8601.")] = None,
    admin_port: Annotated[
        int | None, typer.Option(help="Port of /weights on loopback; 0 picks a free one; default: 8602.")
    ] = None,
    tls_cert: Annotated[str, typer.Option(metavar="FILE", help="Certificate of the proxy, PEM.")] = "",
    tls_key: Annotated[str, typer.Option(metavar="FILE", help="Private key of the certificate.")] = "",
    tls_client_ca: Annotated[
        str,
        typer.Option(metavar="FILE", help="CA certificates for clients; clients without a certificate are refused."),
    ] = "",
    backend_ca: Annotated[str, typer.Option(metavar="FILE", help="CA certificates for the backends.")] = "",
    inference_tables: InferenceTables = "",
    inference_share: InferenceShare = None,
    privacy: PrivacyFile = None,
    address_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the addresses to this file: gRPC, REST, admin, one per line."),
    ] = None,
) -> None:
    """Split a model's traffic between labels or servers, by weight or sticky key, or mirror it to a shadow."""
    from taxiway.recording import settings as recording_settings
    from taxiway.routing import proxy, settings

    flags = settings.Flags(
        model=model, backends=backend, rest_backends=rest_backend, split=split, sticky_key=sticky_key, shadow=shadow
    )
    tls = {"cert": tls_cert, "key": tls_key, "ca": tls_client_ca} if tls_cert or tls_key or tls_client_ca else None
    recording = recording_settings.from_flags(inference_tables, inference_share, privacy)
    hidden = {"privacy": str(privacy)} if privacy else {}
    listening = {
        "host": host or None,
        "port": listen_port,
        "rest_port": rest_port,
        "admin_port": admin_port,
        "tls": tls,
        "backend_tls": {"ca": backend_ca} if backend_ca else None,
        "inference": {"tables": recording.tables, "share": recording.share, **hidden} if recording else None,
    }
    given = {name: value for name, value in listening.items() if value is not None}
    if config and (given or flags != settings.Flags(model="", backends=[])):
        raise UserError(f"other options cannot be used with --config {config}", fix="write them in the file")
    if config:
        proxy.run(settings.load(config), config, address_file)
    else:
        proxy.run(settings.from_flags(flags, **given), None, address_file)
