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
    model: Annotated[str, typer.Option(metavar="NAME", help="The model's name on the server.")],
    version: Annotated[int | None, typer.Option(help="The version that is to answer.")] = None,
    label: Annotated[str, typer.Option(help="The version's label, instead of its number.")] = "",
    signature: Annotated[str, typer.Option(help="The signature to call.")] = "serving_default",
    rest: Annotated[bool, typer.Option("--rest", help="SERVER is a REST address.")] = False,
    schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A schema.pbtxt with the types of tf.Example features.")
    ] = None,
    batch: Annotated[int, typer.Option(help="The most examples in a request.")] = 256,
    limit: Annotated[int | None, typer.Option(help="The most examples of all.")] = None,
    output_format: Annotated[OutputFormat, typer.Option("--format", help="How to print.")] = OutputFormat.TABLE,
    timeout: Annotated[float, typer.Option(help="Seconds that an answer may take.")] = 60.0,
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt; https:// and the next three do so, too.")] = False,
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="The authority that the server is known by.")] = None,
    cert: Annotated[Path | None, typer.Option(metavar="FILE", help="The client's own certificate.")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The key of the client's certificate.")] = None,
) -> None:
    """Send examples from a file to a model server of TF Serving's API, and print what it answers."""
    from contextlib import closing

    from taxiway.network import tls as certificates
    from taxiway.prediction.clients import Model, connect
    from taxiway.prediction.predict import predictions
    from taxiway.prediction.printing import printed

    if version is not None and label:
        raise UserError("a version and a label are both given", fix="give one of --version and --label")
    is_encrypted = tls or ca or cert or key or server.startswith("https://")
    files = certificates.loadable("TLS", cert=cert, key=key, ca=ca) if is_encrypted else None
    asked = Model(model, version, label)
    with closing(connect(server, asked, rest=rest, tls=files, seconds=timeout)) as client:
        printed(predictions(client, input_file, signature, batch, limit, schema), output_format)
