"""`taxiway serve`."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from components.contract.errors import UserError
from components.user_code import custom_op_loading
from taxiway.cli.options import InferenceShare, InferenceTables, PrivacyFile, TlsCert, TlsClientCa, TlsKey
from taxiway.serving import flags, tensorflow_import

if TYPE_CHECKING:
    from taxiway.network.tls import Tls
    from taxiway.serving.model.batching import Batching
    from taxiway.serving.model.model_config import ModelSettings


class ServeCommand(TyperCommand):
    """Checks the arguments for TF Serving's flags before they are parsed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the arguments; a TF Serving flag is an error that names its counterpart."""
        flags.refuse(args)
        return super().parse_args(ctx, args)


def serve_command(
    base_path: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="Folder of a pushed model; its subfolders are versions.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TF Serving model config file; reloaded when it changes."),
    ] = None,
    model_name: Annotated[str, typer.Option(metavar="NAME", help="Model name; default: the folder's name.")] = "",
    port: Annotated[int, typer.Option(help="gRPC port; 0 picks a free one.")] = 8500,
    rest_port: Annotated[int, typer.Option(help="REST port; 0 picks a free one.")] = 8501,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 accepts requests from other machines.")
    ] = "127.0.0.1",
    enable_batching: Annotated[
        bool,
        typer.Option("--enable-batching", help="Combine requests that arrive together into one call of the model."),
    ] = False,
    batching_parameters_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TF Serving batching parameters file.")
    ] = None,
    monitoring_config_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TF Serving monitoring config file: the path of the metrics.")
    ] = None,
    per_model_batching: Annotated[
        bool,
        typer.Option(
            "--per-model-batching",
            help="Use the batching_params.pbtxt of each version; versions without one are not batched.",
        ),
    ] = False,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Load only versions whose files match their provenance.json; default: also versions without one.",
        ),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Load only versions signed with the private key that belongs to this public key."
        ),
    ] = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    tls_client_ca: TlsClientCa = None,
    grpc_socket: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also serve gRPC on this Unix socket.")
    ] = None,
    grpc_argument: Annotated[
        list[str], typer.Option(metavar="NAME=VALUE", help="gRPC channel argument of the server; repeatable.")
    ] = [],  # noqa: B006 (typer reads it)
    poll_seconds: Annotated[
        float, typer.Option(help="Seconds between checks for new versions; 0 checks once, at the start.", min=0)
    ] = 1.0,
    reload_root: Annotated[
        list[Path],
        typer.Option(
            metavar="FOLDER",
            help="Folder in which clients may choose base paths (HandleReloadConfigRequest); repeatable. Default: the "
            "base paths served at the start.",
        ),
    ] = [],  # noqa: B006 (typer reads it)
    allow_labels_of_unavailable_versions: Annotated[
        bool,
        typer.Option(
            "--allow-labels-of-unavailable-versions",
            help="Allow a new label to point to a version that is not available yet.",
        ),
    ] = False,
    custom_ops: Annotated[
        list[str],
        typer.Option(
            metavar="MODULE|FILE.so",
            help="Library of custom ops that models need, such as tensorflow_text; repeatable.",
        ),
    ] = [],  # noqa: B006 (typer reads it)
    saved_model_tags: Annotated[
        str, typer.Option(metavar="TAG,...", help="Tags of the SavedModel graph to serve.")
    ] = "serve",
    rest_timeout_seconds: Annotated[
        float, typer.Option(help="Timeout of a REST request, and of reading its body while no data arrives.", min=0.001)
    ] = 30.0,
    cors: Annotated[
        bool, typer.Option("--cors", help="Send CORS headers that allow pages of any site to call the REST API.")
    ] = False,
    max_request_mb: Annotated[int, typer.Option(help="Maximum request size in MiB.", min=1, max=2047)] = 64,
    tensorflow_intra_op_parallelism: Annotated[
        int, typer.Option(metavar="N", help="Threads per TensorFlow operation; 0 lets TensorFlow choose.", min=0)
    ] = 0,
    max_waiting: Annotated[int, typer.Option(help="Maximum number of queued requests per version.", min=1)] = 1000,
    inference_tables: InferenceTables = "",
    inference_share: InferenceShare = None,
    privacy: PrivacyFile = None,
    address_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the addresses to this file: gRPC, then REST, one per line."),
    ] = None,
) -> None:
    """Serve pushed models over TF Serving's gRPC and REST APIs."""
    from taxiway.recording import settings as recording_settings

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s")
    tls = _tls(tls_cert, tls_key, tls_client_ca)
    if public_key and not public_key.is_file():
        raise UserError(f"there is no file {public_key}", fix="give a public key in PEM format")
    _require_one_source(base_path, config, model_name)
    recording = recording_settings.from_flags(inference_tables, inference_share, privacy)
    tensorflow_import.import_quietly()
    models = _models(base_path, config, model_name)
    custom_op_loading.load(custom_ops)

    from taxiway.serving import server
    from taxiway.serving.model.verification import Verification

    settings = server.Settings(
        models=tuple(models),
        config=config,
        host=host,
        port=port,
        rest_port=rest_port,
        tls=tls,
        batching=_batching(enable_batching or per_model_batching, batching_parameters_file),
        per_model_batching=per_model_batching,
        verification=Verification({None: "recorded", True: "always", False: "never"}[verify], public_key),  # type: ignore[arg-type]
        poll_seconds=poll_seconds,
        max_request_bytes=max_request_mb << 20,
        max_waiting=max_waiting,
        intra_op_parallelism=tensorflow_intra_op_parallelism,
        metrics_paths=_metrics_paths(monitoring_config_file),
        grpc_socket=grpc_socket,
        grpc_arguments=_grpc_arguments(grpc_argument),
        reload_roots=tuple(_reload_roots(reload_root)),
        early_labels=allow_labels_of_unavailable_versions,
        saved_model_tags=_tags(saved_model_tags),
        rest_timeout_seconds=rest_timeout_seconds,
        cors=cors,
        recording=recording,
    )
    server.run(settings, address_file)


def _require_one_source(base_path: Path | None, config: Path | None, name: str) -> None:
    """Refuses a wrong folder or combination of options before the import of TensorFlow, which takes seconds."""
    if (base_path is None) == (config is None):
        raise UserError("no model to serve", fix="give either the folder of a pushed model or --config FILE")
    if config and name:
        raise UserError(f"--model-name cannot be used with --config {config}", fix="remove one of them")
    if base_path is None:
        return
    folder = base_path.resolve()
    if not folder.is_dir():
        raise UserError(f"there is no folder {base_path}", fix="give the folder that a run pushed to")
    if (folder / "saved_model.pb").is_file():
        raise UserError(
            f"{base_path} is a version, not a folder of versions",
            fix=f"serve the folder above it, {folder.parent}",
        )


def _models(base_path: Path | None, config: Path | None, name: str) -> list[ModelSettings]:
    from taxiway.serving.model import model_config

    if config:
        return model_config.load(config)
    assert base_path is not None
    folder = base_path.resolve()
    return [model_config.ModelSettings(name or folder.name, folder)]


def _grpc_arguments(given: list[str]) -> dict[str, int | str]:
    found: dict[str, int | str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UserError(
                f"--grpc-argument {text} is not of the form NAME=VALUE",
                fix="write, for example, grpc.max_connection_age_ms=2000",
            )
        found[name] = _int32_or_text(value)
    return found


def _int32_or_text(value: str) -> int | str:
    """The value of an argument; gRPC has only these two types."""
    number = int(value) if re.fullmatch(r"-?\d{1,10}", value) else None
    return number if number is not None and -(1 << 31) <= number < 1 << 31 else value


def _reload_roots(given: list[Path]) -> Iterator[Path]:
    for folder in given:
        if not folder.is_dir():
            raise UserError(f"--reload-root: there is no folder {folder}", fix="create it, or give another")
        yield folder.resolve()


def _tags(given: str) -> tuple[str, ...]:
    tags = tuple(filter(None, (tag.strip() for tag in given.split(","))))
    if not tags:
        raise UserError("--saved-model-tags is empty", fix="write serve, the tag of most models")
    return tags


def _batching(enabled: bool, file: Path | None) -> Batching | None:
    if not enabled and not file:
        return None
    from taxiway.serving.model import batching, model_config

    return model_config.load_batching(file) if file else batching.Batching()


def _metrics_paths(file: Path | None) -> tuple[str, ...]:
    from taxiway.serving.model import model_config
    from taxiway.serving.rest import routes

    return model_config.load_monitoring(file) if file else routes.METRICS_PATHS


def _tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    if not (cert or key or client_ca):
        return None
    from taxiway.network import tls

    found = tls.loadable("serve", cert=cert, key=key, ca=client_ca)
    if not cert:
        raise UserError("--tls-client-ca needs a server certificate", fix="add --tls-cert and --tls-key")
    return found
