"""`taxiway ui`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from taxiway.cli.options import CookieFile, Header, TlsCert, TlsClientCa, TlsKey, TokenFile
from taxiway.cli.report import run_ids


def ui_command(
    run_id: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Print the address of this run: its id, the beginning of one, or 'latest'.",
            autocompletion=run_ids,
        ),
    ] = "",
    host: Annotated[
        str, typer.Option(help="Address to listen on; any other than loopback needs a token or client certificates.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 picks a free one.")] = 8700,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with the token that clients need; made with a new one if missing."),
    ] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    name: Annotated[
        list[str],
        typer.Option(metavar="NAME", help="A further name of the server, such as that of a proxy; repeatable."),
    ] = [],  # noqa: B006 (typer reads it)
    model_server: Annotated[
        list[str],
        typer.Option(
            "--server", metavar="URL", help="REST address of a model server, to show what it serves; repeatable."
        ),
    ] = [],  # noqa: B006
    destination: Annotated[
        list[str],
        typer.Option(metavar="DESTINATION", help="A further place that models are pushed to; repeatable."),
    ] = [],  # noqa: B006
    tables: Annotated[str, typer.Option(metavar="ROOT", help="Folder or URL with the tables of watched models.")] = "",
    kubeflow: Annotated[
        str, typer.Option(metavar="URL", help="Show the runs of the Kubeflow Pipelines at this URL instead.")
    ] = "",
    namespace: Annotated[str, typer.Option(help="Your namespace, on a multi-user Kubeflow.")] = "",
    kubeflow_token_file: TokenFile = None,
    kubeflow_cookie_file: CookieFile = None,
    kubeflow_header: Header = "",
    kubeflow_ca: Annotated[Path | None, typer.Option(metavar="FILE", help="CA certificate for Kubeflow.")] = None,
    address_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the address to this file when the server answers.")
    ] = None,
) -> None:
    """Show runs, live, with their reports, logs and artifacts in a browser: one server, nothing to set up."""
    from taxiway.network import addresses, tls
    from taxiway.reports import run
    from taxiway.runs import pages
    from taxiway.storage.home import Home
    from taxiway.ui import server
    from taxiway.ui.settings import Settings, token_in
    from taxiway.ui.views import address

    home, refresh = Home.default(), None
    if kubeflow:
        from taxiway.kubeflow.host import Host
        from taxiway.kubeflow.mirror import Mirror, home_of
        from taxiway.network.login import Login

        login = Login(kubeflow_token_file, kubeflow_cookie_file, kubeflow_header)
        at = Host(kubeflow, namespace, login, kubeflow_ca)
        home = home_of(at, home.root)
        refresh = Mirror(at, home).refresh
    path = address("runs", run.find(run_id, home).run.id) if run_id else "/"
    certificates = tls.loadable("--tls-cert", cert=tls_cert, key=tls_key, ca=tls_client_ca) if tls_cert else None
    settings = Settings(
        home,
        host=host,
        port=port,
        token=token_in(token_file),
        tls=certificates,
        names=tuple(name),
        servers=tuple(model_server),
        destinations=tuple(destination),
        tables=tables,
        refresh=refresh,
    )

    def started(where: str) -> None:
        addresses.write(address_file, [where.partition("://")[2]])
        print(f"{where}{path}", flush=True)

    running = pages.origin_of(home)
    if running.partition("://")[2] == f"{host}:{port}":
        # One server shows all runs: a second one could not have the port.
        print(f"{running}{path}")
        return
    server.run(settings, started)
