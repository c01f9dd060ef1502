"""The proxy's settings, from route.yaml or from command-line options."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from components.contract.errors import UserError
from components.contract.settings import named, typed
from taxiway import yaml_files
from taxiway.network.tls import Tls, loadable
from taxiway.recording import settings as recorder_settings

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s/:]+):(\d{1,5})")
_KEY = re.compile(r"(header|feature):(.+)")

Weights = dict[str, float]
"""Weights by target name."""


@dataclass(frozen=True)
class Backend:
    """A model server.

    Attributes:
        grpc: `host:port` of its gRPC API.
        rest: `host:port` of its REST API; if empty, REST requests to it are refused.
        tls: Client TLS settings; None for plain text.
    """

    grpc: str
    rest: str = ""
    tls: Tls | None = None


@dataclass(frozen=True)
class Target:
    """A target of a share of a model's requests.

    Attributes:
        backend: The name of the backend.
        label: The version label to set on its requests; empty for none.
        weight: Its share relative to the other weights.
    """

    backend: str
    label: str = ""
    weight: float = 0.0


@dataclass(frozen=True)
class StickyKey:
    """The key that keeps a user on one target: a header, or a feature of the request's first example."""

    kind: str
    name: str


@dataclass(frozen=True)
class Model:
    """How a model's requests are split.

    Attributes:
        targets: The targets by name; the heaviest also gets requests that are not split (metadata, status).
        sticky_key: The key that keeps a user on one target.
        shadow: The target that gets a copy of every request and whose responses are only logged; empty for none.
    """

    targets: dict[str, Target]
    sticky_key: StickyKey | None = None
    shadow: str = ""

    @property
    def weights(self) -> Weights:
        """The targets' weights."""
        return {name: target.weight for name, target in self.targets.items()}

    @property
    def main(self) -> str:
        """The heaviest target."""
        return max(self.targets, key=lambda name: self.targets[name].weight)


@dataclass(frozen=True)
class Inference:
    """What is recorded.

    Attributes:
        tables: The folder or URL of the inference tables.
        share: The share of requests that is recorded.
        privacy: The file that says what may not be written as it was sent; empty for none.
    """

    tables: str
    share: float = recorder_settings.Settings.share
    privacy: str = ""


@dataclass(frozen=True)
class Settings:
    """A proxy's settings.

    Attributes:
        backends: The backends by name; the first one serves models that are not in `models`.
        models: The models by name.
        host: The address to listen on.
        port: The gRPC port; 0 picks a free one.
        rest_port: The REST port.
        admin_port: The port of `/weights`, always on loopback.
        tls: Server TLS settings of the gRPC and REST APIs; None for plain text.
        max_megabytes: Maximum size of requests and responses.
        shadow_queue: Maximum number of queued shadow requests; more are dropped.
        inference: What is recorded in inference tables; None for nothing.
    """

    backends: dict[str, Backend]
    models: dict[str, Model]
    host: str = "127.0.0.1"
    port: int = 8600
    rest_port: int = 8601
    admin_port: int = 8602
    tls: Tls | None = None
    max_megabytes: int = 64
    shadow_queue: int = 1000
    inference: Inference | None = None

    def recording(self) -> recorder_settings.Settings:
        """The recorder's settings."""
        assert self.inference, "there is something to record"
        found = self.inference
        privacy = recorder_settings.load_privacy(Path(found.privacy) if found.privacy else None)
        return recorder_settings.Settings(tables=found.tables, share=found.share, privacy=privacy)


def _each(given: Any, where: str, parse: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping) or not given:
        raise UserError(f"{where} must be a map of names, not {given!r}", fix="name at least one")
    return {str(name): parse(value, f"{where}.{name}") for name, value in given.items()}


def _tls(given: Any, where: str, *, listener: bool = False) -> Tls | None:
    if given is None:
        return None
    found = named(given, Tls, where)
    for name, value in found.items():
        if not isinstance(value, str):
            raise UserError(f"{where}.{name} is {value!r}", fix="write the path of a PEM file")
    if listener and not found.get("cert"):
        raise UserError(f"{where}.cert is missing", fix="name the proxy's own certificate")
    return loadable(where, **{name: Path(value) for name, value in found.items() if value})


def _inference(given: Any, where: str) -> Inference | None:
    if given is None:
        return None
    found = typed(named(given, Inference, where), Inference, where)
    recorder_settings.require_share(found.share, f"{where}.share")
    return found


def require_address(text: Any, where: str) -> str:
    """Returns a valid `host:port`.

    Raises:
        UserError: It is not valid.
    """
    if not isinstance(text, str) or not (found := _ADDRESS.fullmatch(text)) or int(found[2]) > 65535:
        raise UserError(f"{where} is {text!r}", fix="write host:port")
    return text


def _backend(given: Any, where: str) -> Backend:
    found = named(given, Backend, where)
    for name in ("grpc", "rest"):
        if name in found:
            require_address(found[name], f"{where}.{name}")
    return Backend(**{**found, "tls": _tls(found.get("tls"), f"{where}.tls")})


def sticky_key(text: str, where: str) -> StickyKey:
    """Parses a sticky key: `header:NAME` or `feature:NAME`.

    Raises:
        UserError: It has another form.
    """
    found = _KEY.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise UserError(f"{where} is {text!r}", fix="write header:NAME or feature:NAME")
    # gRPC metadata keys are lowercase; HTTP headers are case-insensitive.
    return StickyKey(found[1], found[2].lower() if found[1] == "header" else found[2])


def require_weights(weights: Mapping[str, Any], targets: Mapping[str, Any], where: str) -> Weights:
    """Checks weights; targets without one get 0.

    Raises:
        UserError: A target is unknown, a weight is not a nonnegative number, or all are 0.
    """
    for name, weight in weights.items():
        if name not in targets:
            raise UserError(f"{where} has no target {name!r}", fix=f"it has {', '.join(targets)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight) or weight < 0:
            raise UserError(f"{where}: the weight of {name!r} is {weight!r}", fix="use a number of at least 0")
    found = {name: float(weights.get(name, 0)) for name in targets}
    if not any(found.values()):
        raise UserError(f"{where}: all weights are 0", fix="set the weight of a target")
    return found


def with_weights(model: Model, weights: Weights) -> Model:
    """The model with other weights."""
    return replace(model, targets={n: replace(t, weight=weights[n]) for n, t in model.targets.items()})


def _target(given: Any, where: str) -> Target:
    return typed(named(given, Target, where), Target, where)


def _model(given: Any, where: str, backends: Mapping[str, Backend]) -> Model:
    found = named(given, Model, where)
    targets = _each(found["targets"], f"{where}.targets", _target)
    for name, target in targets.items():
        if target.backend not in backends:
            raise UserError(
                f"{where}.targets.{name}.backend is {target.backend!r}", fix=f"there are {', '.join(backends)}"
            )
    shadow = found.get("shadow", "")
    if shadow and shadow not in targets:
        raise UserError(f"{where}.shadow is {shadow!r}", fix=f"name a target: {', '.join(targets)}")
    key = sticky_key(found["sticky_key"], f"{where}.sticky_key") if found.get("sticky_key") else None
    model = Model(targets, key, shadow)
    require_weights(model.weights, targets, where)
    return model


def parse(given: Any, where: str) -> Settings:
    """Settings from the content of a YAML file.

    Raises:
        UserError: A setting is unknown, missing or invalid; names it.
    """
    found = named(given, Settings, where)
    backends = _each(found["backends"], f"{where}: backends", _backend)
    models = _each(found["models"], f"{where}: models", lambda value, at: _model(value, at, backends))
    tls = _tls(found.get("tls"), f"{where}: tls", listener=True)
    inference = _inference(found.get("inference"), f"{where}: inference")
    read = {**found, "backends": backends, "models": models, "tls": tls, "inference": inference}
    settings = typed(read, Settings, where)
    for name in ("port", "rest_port", "admin_port"):
        if not 0 <= getattr(settings, name) <= 65535:
            raise UserError(f"{where}: {name} is {getattr(settings, name)}", fix="use a port from 0 to 65535")
    for name in ("max_megabytes", "shadow_queue"):
        if getattr(settings, name) < 1:
            raise UserError(f"{where}: {name} is {getattr(settings, name)}", fix="use 1 or more")
    return settings


def load(file: Path) -> Settings:
    """Settings from a route.yaml; raises as `parse`, and if the file cannot be read."""
    return parse(yaml_files.read(file, fix="give a route.yaml with --config"), str(file))


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The settings of a proxy for one model, as command-line options.

    Attributes:
        model: The model's name.
        backends: Each is `host:port` or `NAME=host:port`.
        rest_backends: The same for REST.
        split: `NAME=WEIGHT,...`; with one backend the names are labels, otherwise backends.
        sticky_key: `header:NAME` or `feature:NAME`.
        shadow: A label or a backend.
    """

    model: str
    backends: list[str]
    rest_backends: list[str] = field(default_factory=list)
    split: str = ""
    sticky_key: str = ""
    shadow: str = ""


def _named(addresses: list[str], option: str) -> dict[str, str]:
    pairs = [text.rpartition("=")[::2] for text in addresses]
    found = {name or "default": require_address(address, option) for name, address in pairs}
    if len(found) < len(addresses):
        raise UserError(f"{option} names a backend twice", fix=f"write {option} NAME=host:port for each")
    return found


def _shares(split: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in filter(None, split.split(",")):
        name, _, weight = text.partition("=")
        try:
            found[name.strip()] = float(weight)
        except ValueError:
            raise UserError(f"--split has {text!r}", fix="write NAME=WEIGHT,NAME=WEIGHT") from None
    return found


def from_flags(flags: Flags, **others: Any) -> Settings:
    """Settings from flags; `others` are fields of `Settings`. Raises as `parse`."""
    if not (flags.model and flags.backends and flags.split):
        raise UserError("there is nothing to route", fix="give --config, or --model, --backend and --split")
    grpc, rest = _named(flags.backends, "--backend"), _named(flags.rest_backends, "--rest-backend")
    unknown = next((name for name in rest if name not in grpc), None)
    if unknown is not None:
        raise UserError(f"--rest-backend names {unknown!r}", fix=f"there is --backend {', '.join(grpc)}")
    shares = _shares(flags.split)
    if flags.shadow:
        shares.setdefault(flags.shadow, 0.0)
    by_backend = len(grpc) > 1
    [only, *_] = grpc
    targets = {
        name: {"backend": name if by_backend else only, "label": "" if by_backend else name, "weight": weight}
        for name, weight in shares.items()
    }
    model = {"targets": targets, "sticky_key": flags.sticky_key, "shadow": flags.shadow}
    tls = others.pop("backend_tls", None)
    backends = {
        name: {"grpc": at, **({"rest": rest[name]} if name in rest else {}), "tls": tls} for name, at in grpc.items()
    }
    return parse({"backends": backends, "models": {flags.model: model}, **others}, "the flags")
