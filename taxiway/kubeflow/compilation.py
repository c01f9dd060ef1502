"""Compiles pipelines to files for Kubeflow: with profiles, with inlined modules, as custom resources."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.compiler import pipeline_spec_builder
from kfp.compiler.compiler_utils import KubernetesManifestOptions
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

from components.contract import files
from components.contract.digests import text_digest
from components.contract.errors import UserError
from components.execution import provenance
from components.user_code import user_modules
from taxiway import loading
from taxiway.checks import known
from taxiway.dsl import cluster_resources
from taxiway.fusion import members
from taxiway.fusion.fuse import fused
from taxiway.language import spec
from taxiway.language.components import Component, DagComponent
from taxiway.language.spec import Pipeline
from taxiway.language.values import Json


def compiled(
    target: str,
    profiles: Iterable[str] = (),
    inline_modules: bool = False,
    parameters: Mapping[str, Any] | None = None,
    fuse: bool = False,
) -> Pipeline:
    """Compiles a pipeline.

    Args:
        target: The pipeline: a name, a Python file or a compiled YAML file.
        profiles: Its resource profiles to apply.
        inline_modules: Whether to embed the source of the user's modules in it.
        parameters: The known parameters of the pipeline; the others have their defaults.
        fuse: Whether neighbouring stages share a container.

    Raises:
        UserError: There is no such pipeline or profile, a module cannot be embedded, or there is nothing to fuse.
    """
    profiles = list(profiles)
    if not target.endswith(loading.COMPILED):
        pipeline = loading.compiled(cluster_resources.rebuilt(loading.function(target), profiles))
    elif profiles:
        raise UserError(
            f"{target} is already compiled, so profiles cannot be applied",
            fix="give the pipeline's name or Python file",
        )
    else:
        pipeline = loading.load(target)
    pipeline = _with_modules(pipeline, parameters or {}) if inline_modules else pipeline
    return fused(pipeline) if fuse else pipeline


def version_name(pipeline: Pipeline) -> str:
    """A name derived from the content of the compiled pipeline; valid in Kubernetes."""
    digest = text_digest(json.dumps([pipeline.spec, pipeline.platform], sort_keys=True))
    return f"{pipeline.name}-{digest.removeprefix('sha256:')[:12]}"


def write(pipeline: Pipeline, path: Path, *, kubernetes: bool = False) -> None:
    """Writes a pipeline to a file atomically.

    Args:
        pipeline: A compiled pipeline.
        path: The YAML file.
        kubernetes: Whether to write custom resources, Pipeline and PipelineVersion, for `kubectl apply`.

    Raises:
        UserError: The file cannot be written.
    """
    options = KubernetesManifestOptions(pipeline_version_name=version_name(pipeline), include_pipeline_manifest=True)
    try:
        with files.whole(path, synced=True) as partial:
            pipeline_spec_builder.write_pipeline_spec_to_file(
                json_format.ParseDict(pipeline.spec, PipelineSpec()),
                pipeline.spec["pipelineInfo"].get("description"),
                json_format.ParseDict(pipeline.platform, PlatformSpec()),
                str(partial),
                kubernetes_manifest_options=options,
                kubernetes_manifest_format=kubernetes,
            )
            partial.write_text(spec.with_whole_header(partial.read_text()))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error}") from error


def without_cache(pipeline: Pipeline) -> Pipeline:
    """The pipeline with caching disabled for every task."""
    changed = copy.deepcopy(pipeline.spec)
    for component in (changed["root"], *changed["components"].values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task["cachingOptions"] = {}
    for executor in changed["deploymentSpec"]["executors"].values():
        members.forget_cache(executor)
    return replace(pipeline, spec=changed)


def _with_modules(pipeline: Pipeline, parameters: Mapping[str, Any]) -> Pipeline:
    """The pipeline with the source of the user's modules as an argument of the stages that call them.

    The source is an argument because arguments are part of Kubeflow's cache key; the modules' commit is an environment
    variable because it must not be.
    """
    users = list(_module_users(pipeline, pipeline.root, pipeline.root.with_defaults(parameters)))
    modules = sorted({module for _, modules in users for module in modules})
    text, files = user_modules.packed(modules), frozenset().union(*map(user_modules.files, modules))
    commit = {"name": provenance.COMMIT_VARIABLE, "value": provenance.commit_text(provenance.commit_with(files))}
    changed = copy.deepcopy(pipeline.spec)
    for label in {label for label, _ in users} if text else ():
        container = changed["deploymentSpec"]["executors"][label]["container"]
        container["args"] += ["--modules", text]
        container.setdefault("env", []).append(commit)
    return replace(pipeline, spec=changed, sources=pipeline.sources | files)


def _module_users(pipeline: Pipeline, component: DagComponent, values: Json) -> Iterator[tuple[str, list[str]]]:
    """The executors of the stages that call the user's modules, with the modules' names."""
    for task in component.dag.tasks.values():
        inner = pipeline.component(task)
        given = known.parameters(inner, task, values)
        if isinstance(inner, DagComponent):
            yield from _module_users(pipeline, inner, given)
        elif pipeline.executor(inner).stage and (modules := _modules(inner, given)):
            yield inner.label, modules


def _modules(component: Component, given: Json) -> list[str]:
    return [
        given[name] for name, each in component.inputs.parameters.items() if each.role == "Module" and given.get(name)
    ]
