"""The models under evaluation, loaded as TFMA loads them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.api import types
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.utils import model_util

from components.contract.artifacts import Artifact
from components.contract.errors import UserError
from components.user_code import custom_op_loading

_SAVED_MODEL = ("saved_model.pb", "saved_model.pbtxt")


def serving_path(model: Artifact) -> Path:
    """Where a Model artifact has its SavedModel."""
    return model.path / "Format-Serving"


def location(model: Artifact) -> str:
    """The same by the artifact's digest, which does not change when it moves; by its path if it has no digest."""
    return f"{model.metadata['digest']}/Format-Serving" if "digest" in model.metadata else str(serving_path(model))


def exists(model: Artifact | None) -> bool:
    """Whether there is a model: the baseline's artifact is empty before the first push."""
    if model is None or str(model.metadata.get("found", True)).lower() in ("false", "0", "0.0"):
        return False
    return any((serving_path(model) / name).is_file() for name in _SAVED_MODEL)


def place(model: Artifact) -> str:
    """Where a model was pushed to, or where it is stored."""
    return str(model.metadata.get("pushed_destination") or model.uri)


def shared_models(
    config: config_pb2.EvalConfig, candidate: Artifact, baseline: Artifact | None, libraries: Sequence[str] = ()
) -> list[tfma.EvalSharedModel]:
    """TFMA's handles of the models, one for each model spec; loads them and checks that they have their signatures.

    Libraries of custom operations are loaded first, by workers too.

    Raises:
        UserError: There is no model, it does not load, or it lacks a signature that the config names.
    """
    found = []
    custom_op_loading.load(libraries)
    for spec in config.model_specs:
        path = serving_path(baseline if spec.is_baseline and baseline else candidate)
        if not any((path / name).is_file() for name in _SAVED_MODEL):
            raise UserError(f"there is no SavedModel in {path}", fix="let run_fn save one there")
        found.append(_shared(path, spec, config, libraries))
    return found


def pushed_model(config: config_pb2.EvalConfig, path: Path) -> tfma.EvalSharedModel:
    """TFMA's handle of the SavedModel in a folder, for a config with one model spec; raises as `shared_models`."""
    return _shared(path, config.model_specs[0], config, ())


def _shared(
    path: Path, spec: config_pb2.ModelSpec, config: config_pb2.EvalConfig, libraries: Sequence[str]
) -> tfma.EvalSharedModel:
    shared = _loadable(path, spec.name, config, libraries)
    _require_signatures(shared.model_loader.load(), spec, path)
    # TFMA names a single model ''.
    return shared._replace(model_name=spec.name if len(config.model_specs) > 1 else "")


def plain(models: list[tfma.EvalSharedModel]) -> list[tfma.EvalSharedModel]:
    """The same models with TFMA's own loaders, which can be pickled for workers."""
    return [model._replace(model_loader=model.model_loader.plain) for model in models]


class _KeptLoader:
    """Loads a model once. TFMA's loader keeps only the latest model: with a baseline, each call would load again."""

    def __init__(self, loader: Any) -> None:
        self.plain = loader
        self._load = functools.cache(loader.load)

    def load(self, **_: Any) -> Any:
        return self._load()


def _loadable(path: Path, name: str, config: config_pb2.EvalConfig, libraries: Sequence[str]) -> tfma.EvalSharedModel:
    try:
        shared = tfma.default_eval_shared_model(str(path), model_name=name, eval_config=config)
        loader = _with_operations(shared.model_loader, libraries)
        shared = shared._replace(model_loader=_KeptLoader(loader))
        shared.model_loader.load()
    except Exception as error:
        if missing := custom_op_loading.missing(error):
            raise UserError(f"the model in {path} does not load: {missing}") from error
        raise UserError(f"the model in {path} does not load: {error}", fix="train it again") from error
    return shared


def _with_operations(loader: types.ModelLoader, libraries: Sequence[str]) -> types.ModelLoader:
    """A loader that can be pickled for a worker, and loads the operations there before the model."""
    if not libraries:
        return loader
    return types.ModelLoader(functools.partial(_constructed, tuple(libraries), loader.construct_fn), loader.tags)


def _constructed(libraries: Sequence[str], construct: Callable[[], Any]) -> Any:
    custom_op_loading.load(libraries)
    return construct()


def _require_signatures(model: Any, spec: config_pb2.ModelSpec, path: Path) -> None:
    for name in [spec.signature_name, *spec.preprocessing_function_names]:
        # name@feature is one of TFMA's own preprocessing functions.
        if "@" not in name and not _has(model, name):
            there = ", ".join(sorted(getattr(model, "signatures", {}))) or "none"
            missing = f"no signature {name!r}" if name else "no default signature"
            raise UserError(f"the model in {path} has {missing}", fix=f"its signatures: {there}")


def _has(model: Any, name: str) -> bool:
    try:
        return model_util.get_callable(model, name) is not None
    except (ValueError, KeyError):
        return False
