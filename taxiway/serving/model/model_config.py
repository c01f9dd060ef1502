"""Reads TF Serving's configuration files, in protobuf text format: models, batching parameters, monitoring.

Every field is either honored, or the log says that it has no effect.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from google.protobuf import text_format
from google.protobuf.message import Message
from tensorflow_serving.config import logging_config_pb2, model_server_config_pb2

from components.contract.errors import UserError
from taxiway.serving.grpc import config_messages
from taxiway.serving.model.batching import Batching
from taxiway.serving.rest.routes import METRICS_PATHS, OWN_PATHS, is_model_path

_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VersionPolicy:
    """Which of the existing versions are served.

    Attributes:
        kind: `latest`: the highest numbers; `all`; `specific`: those in `numbers`.
        count: How many, for `latest`.
        numbers: Which, for `specific`.
    """

    kind: Literal["latest", "all", "specific"] = "latest"
    count: int = 1
    numbers: frozenset[int] = frozenset()

    def chosen(self, there: Collection[int]) -> set[int]:
        """The versions to serve of those that exist."""
        if self.kind == "latest":
            return set(sorted(there)[-self.count :])
        return set(there) if self.kind == "all" else set(there) & self.numbers


@dataclass(frozen=True)
class Logging:
    """Request log settings of a model.

    Attributes:
        prefix: The folder and the start of the file names.
        rate: The fraction of requests to log, 0 to 1.
    """

    prefix: Path
    rate: float


@dataclass(frozen=True)
class ModelSettings:
    """A model to serve.

    Attributes:
        name: The name that clients use.
        base_path: The folder whose subfolders are versions.
        policy: Which versions are served.
        labels: The version of each label.
        logging: None if requests are not logged.
    """

    name: str
    base_path: Path
    policy: VersionPolicy = field(default_factory=VersionPolicy)
    labels: Mapping[str, int] = field(default_factory=dict)
    logging: Logging | None = None


def load(file: Path) -> list[ModelSettings]:
    """The models of a models.config.

    Raises:
        UserError: It cannot be read, or is not a valid ModelServerConfig.
    """
    config = config_messages.model_server_config()()
    return models(_parsed(file, config, "TF Serving's ModelServerConfig"), str(file), file.parent)


def models(config: Any, where: str, folder: Path | None = None) -> list[ModelSettings]:
    """The models of a ModelServerConfig.

    Args:
        config: The message.
        where: Where it comes from, for errors.
        folder: What relative base paths are relative to; None if they are refused.

    Raises:
        UserError: A value is invalid; names the model and the field.
    """
    # The class of a request's message does not have all fields.
    config = config_messages.model_server_config().FromString(config.SerializeToString())
    if config.WhichOneof("config") != "model_config_list":
        raise UserError(
            f"{where} has no model_config_list", fix="list the models in it; custom configs are not supported"
        )
    found = [_model(each, where, folder) for each in config.model_config_list.config]
    names = [model.name for model in found]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{where} names the model {name!r} twice", fix="give each model its own name")
    for each in config.model_config_list.config:
        for said in config_messages.without_effect(each):
            _log.warning("%s: model %r: %s", where, each.name, said)
    return found


def load_batching(file: Path) -> Batching:
    """The batching parameters in a file in the format of TF Serving's `--batching_parameters_file`.

    Raises:
        UserError: It cannot be read, or a parameter is out of range.
    """
    message = _parsed(file, config_messages.batching_parameters()(), "TF Serving's BatchingParameters")
    given: dict[str, Any] = {each.name: value for each, value in message.ListFields()}
    values = {name: getattr(value, "value", value) for name, value in given.items()}
    if "allowed_batch_sizes" in values:
        values["allowed_batch_sizes"] = tuple(values["allowed_batch_sizes"])
    if values.get("max_execution_batch_size") and not values.get("enable_large_batch_splitting"):
        _log.warning("%s: max_execution_batch_size has no effect without enable_large_batch_splitting", file)
    parameters = Batching(**values)
    _require_in_range(parameters, given.keys(), file)
    return parameters


def load_monitoring(file: Path) -> tuple[str, ...]:
    """The metrics paths, from a file in the format of TF Serving's `--monitoring_config_file`; none if not enabled.

    Raises:
        UserError: It cannot be read, or the path is invalid.
    """
    message = _parsed(file, config_messages.monitoring_config()(), "TF Serving's MonitoringConfig")
    path = message.prometheus_config.path or METRICS_PATHS[1]
    if not _PATH.fullmatch(path) or path in OWN_PATHS or is_model_path(path):
        raise UserError(
            f"{file}: the path of prometheus_config is {path!r}",
            fix=f'use a path that has no other meaning, such as "{METRICS_PATHS[1]}"',
        )
    if not message.prometheus_config.enable:
        _log.warning("%s: prometheus_config has no `enable: true`; metrics are disabled", file)
        return ()
    return tuple(dict.fromkeys([METRICS_PATHS[0], path]))


def _parsed(file: Path, message: Message, what: str) -> Any:
    try:
        return text_format.Parse(file.read_text(), message)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}", fix=f"name a file with {what}") from error
    except text_format.ParseError as error:
        # TF Serving's message, which its users search for.
        name = message.DESCRIPTOR.full_name
        raise UserError(
            f"Error parsing text-format {name}: {file}: {error}", fix=f"write it as {what} in text format"
        ) from error


def _model(config: Any, where: str, folder: Path | None) -> ModelSettings:
    place = f"{where}: model {config.name!r}"
    if not config.name:
        raise UserError(f"{where}: a model has no name", fix="give it a name")
    _require_tensorflow(config, place)
    if not config.base_path or "://" in config.base_path:
        raise UserError(
            f"{place}: base_path is {config.base_path!r}",
            fix="name a local folder with versions in it",
        )
    base_path = Path(config.base_path)
    if not base_path.is_absolute():
        if folder is None:
            raise UserError(f"{place}: base_path {config.base_path!r} is not absolute", fix="write an absolute path")
        base_path = folder / base_path
    return ModelSettings(
        config.name,
        base_path,
        _policy(config.model_version_policy, place),
        dict(config.version_labels),
        _logging(config.logging_config, place, folder) if config.HasField("logging_config") else None,
    )


def _require_tensorflow(config: Any, place: str) -> None:
    if config.model_type and config.model_platform:
        raise UserError(f"{place}: model_type and model_platform are both set", fix="remove model_type")
    if config.model_type not in (model_server_config_pb2.MODEL_TYPE_UNSPECIFIED, model_server_config_pb2.TENSORFLOW):
        kind = model_server_config_pb2.ModelType.Name(config.model_type)
        raise UserError(f"{place}: model_type is {kind}", fix='write `model_platform: "tensorflow"` instead')
    if config.model_platform not in ("", "tensorflow"):
        raise UserError(f"{place}: model_platform is {config.model_platform!r}", fix='write "tensorflow"')


def _policy(policy: Any, place: str) -> VersionPolicy:
    kind: Literal["latest", "all", "specific"] = policy.WhichOneof("policy_choice") or "latest"
    if kind == "specific" and not policy.specific.versions:
        raise UserError(f"{place}: the specific policy names no version", fix="write `specific { versions: N }`")
    return VersionPolicy(kind, policy.latest.num_versions or 1, frozenset(policy.specific.versions))


def _logging(config: logging_config_pb2.LoggingConfig, place: str, folder: Path | None) -> Logging:
    collector, rate = config.log_collector_config, config.sampling_config.sampling_rate
    if collector.type not in ("", "file"):
        raise UserError(f"{place}: the log collector type is {collector.type!r}", fix='write "file"')
    if not collector.filename_prefix:
        raise UserError(
            f"{place}: logging_config has no filename_prefix", fix="add the folder and the start of the file names"
        )
    if not 0 <= rate <= 1:
        raise UserError(f"{place}: sampling_rate is {rate}", fix="write a fraction between 0 and 1")
    return Logging((folder or Path("/")) / collector.filename_prefix, rate)


def _require_in_range(parameters: Batching, given: Collection[str], file: Path) -> None:
    least = {"batch_timeout_micros": 0}
    for each in fields(parameters):
        value = getattr(parameters, each.name)
        if each.name in given and type(value) is int and value < least.get(each.name, 1):
            raise UserError(f"{file}: {each.name} is {value}", fix=f"write {least.get(each.name, 1)} or more")
    sizes = parameters.allowed_batch_sizes
    if sizes and (sorted(set(sizes)) != list(sizes) or sizes[0] < 1 or sizes[-1] != parameters.max_batch_size):
        raise UserError(
            f"{file}: allowed_batch_sizes are {list(sizes)}, max_batch_size is {parameters.max_batch_size}",
            fix="write increasing sizes; the last must be max_batch_size",
        )
    if parameters.most_rows > parameters.max_batch_size:
        raise UserError(
            f"{file}: max_execution_batch_size is {parameters.most_rows}, max_batch_size {parameters.max_batch_size}",
            fix="write a max_execution_batch_size of at most max_batch_size",
        )
