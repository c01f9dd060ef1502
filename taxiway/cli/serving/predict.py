"""`taxiway predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from components.contract.errors import UserError
from taxiway.prediction.printing import OutputFormat


def predict_command(
    server: Annotated[str, typer.Argument(metavar="SERVER", help="host:port for gRPC, http://host:port for REST.")],
    input_file: Annotated[
        Path, typer.Option("--input", "-i", metavar="FILE", help="Examples: .csv, .parquet, .json or .jsonl.")
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="Model name on the server.")],
    version: Annotated[int | None, typer.Option(help="Model version; default: the latest.")] = None,
    label: Annotated[str, typer.Option(help="Version label, instead of --version.")] = "",
    signature: Annotated[str, typer.Option(help="Signature to call.")] = "serving_default",
    rest: Annotated[bool, typer.Option("--rest", help="SERVER is a REST address.")] = False,
    schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="schema.pbtxt with the types of the tf.Example features.")
    ] = None,
    batch: Annotated[int, typer.Option(help="Maximum number of examples per request.")] = 256,
    limit: Annotated[int | None, typer.Option(help="Maximum number of examples in total.")] = None,
    output_format: Annotated[OutputFormat, typer.Option("--format", help="Output format.")] = OutputFormat.TABLE,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = 60.0,
    tls: Annotated[bool, typer.Option("--tls", help="Use TLS; implied by https://, --ca, --cert and --key.")] = False,
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="CA certificate for the server.")] = None,
    cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Client certificate.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Private key of the client certificate.")] = None,
) -> None:
    """Send examples from a file to a model server with TF Serving's API, and print the predictions."""
    from contextlib import closing

    from taxiway.network import tls as certificates
    from taxiway.prediction.clients import Model, connect
    from taxiway.prediction.predict import predictions
    from taxiway.prediction.printing import printed

    if version is not None and label:
        raise UserError("--version and --label exclude each other", fix="give one of them")
    is_encrypted = tls or ca or cert or key or server.startswith("https://")
    files = certificates.loadable("TLS", cert=cert, key=key, ca=ca) if is_encrypted else None
    requested = Model(model, version, label)
    with closing(connect(server, requested, rest=rest, tls=files, seconds=timeout)) as client:
        printed(
            predictions(client, path=input_file, signature=signature, batch_rows=batch, limit=limit, schema=schema),
            output_format,
        )
