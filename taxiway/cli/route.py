"""`taxiway route`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from components.contract.errors import UserError

_Addresses = list[str]


def route_command(
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A route.yaml; read anew when it changes, or on SIGHUP.")
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="The model, where no file is given.")] = "",
    backend: Annotated[
        _Addresses, typer.Option(metavar="[NAME=]HOST:PORT", help="A server's gRPC address; may be repeated.")
    ] = [],  # noqa: B006 (typer reads it)
    rest_backend: Annotated[_Addresses, typer.Option(metavar="[NAME=]HOST:PORT", help="Its REST address.")] = [],  # noqa: B006 (typer reads it)
    split: Annotated[
        str, typer.Option(metavar="NAME=WEIGHT,...", help="Shares of labels, or of backends where several are given.")
    ] = "",
    sticky_key: Annotated[
        str, typer.Option(metavar="KEY", help="header:NAME or feature:NAME, which keeps a user on one target.")
    ] = "",
    shadow: Annotated[str, typer.Option(metavar="NAME", help="Gets a copy of every request; nobody its answers.")] = "",
    host: Annotated[str, typer.Option(help="Where to listen; 127.0.0.1 by default.")] = "",
    listen_port: Annotated[int | None, typer.Option(help="The gRPC port; 0 for any free one, else 8600.")] = None,
    rest_port: Annotated[int | None, typer.Option(help="The REST port; 0 for any free one, else 8601.")] = None,
    admin_port: Annotated[int | None, typer.Option(help="The port of /weights on loopback; 0, else 8602.")] = None,
    tls_cert: Annotated[str, typer.Option(metavar="FILE", help="The proxy's own certificate.")] = "",
    tls_key: Annotated[str, typer.Option(metavar="FILE", help="Its key.")] = "",
    tls_client_ca: Annotated[str, typer.Option(metavar="FILE", help="Who signs clients' certificates.")] = "",
    backend_ca: Annotated[str, typer.Option(metavar="FILE", help="Who signed the backends' certificates.")] = "",
    address_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to write the addresses: gRPC, REST, admin.")
    ] = None,
) -> None:
    """Split a model's traffic between labels or servers, by weight or by key, or copy it to a shadow."""
    from taxiway.routing import proxy, settings

    flags = settings.Flags(model, backend, rest_backend, split, sticky_key, shadow)
    tls = {"cert": tls_cert, "key": tls_key, "ca": tls_client_ca} if tls_cert or tls_key or tls_client_ca else None
    listening = {
        "host": host or None,
        "port": listen_port,
        "rest_port": rest_port,
        "admin_port": admin_port,
        "tls": tls,
        "backend_tls": {"ca": backend_ca} if backend_ca else None,
    }
    given = {name: value for name, value in listening.items() if value is not None}
    if config and (given or flags != settings.Flags("", [])):
        raise UserError(f"both {config} and flags say what to route", fix="write it all in the file")
    if config:
        proxy.run(settings.load(config), config, address_file)
    else:
        proxy.run(settings.from_flags(flags, **given), None, address_file)
