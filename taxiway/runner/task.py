"""One task of a run: found in the cache, or carried out in a staging folder and moved to its place when it is whole."""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from components.contract.artifacts import TFX_VERSION, TYPES, Artifact
from components.contract.digests import text_digest
from components.contract.errors import UserError
from components.execution import provenance, stages
from components.execution.executor import local_path
from components.fused.plan import SKIPPED
from components.user_code import custom_ops, user_modules
from components.versioning import data_versions
from components.versioning.working_tree import ALLOW_UNVERSIONED
from taxiway.checks import refusals
from taxiway.fusion import members
from taxiway.language import arguments, spec
from taxiway.language.placeholders import bodies, fill_command
from taxiway.language.spec import Json
from taxiway.packages import imports
from taxiway.packages.packages import Packages
from taxiway.runner import named, outputs, retries
from taxiway.runner.graph import USER_ERROR, Call, Result, State, Values
from taxiway.runner.launcher import Ended, Job, Launcher
from taxiway.storage import cache
from taxiway.storage.cache import Manifest
from taxiway.storage.digest_store import DigestStore
from taxiway.storage.home import Home

_LAST_LINES = 20
# Metadata that say where an artifact came from, or where its models lie (TFX's names), and not what it is.
_APART = {"digest", "provenance", provenance.CHAIN_PROPERTY, "current_model", "baseline_model"}


@dataclass(frozen=True)
class TaskRunner:
    """Carries out the calls of one run.

    Attributes:
        run_id: The run's name.
        pipeline: The pipeline's name.
        home: Where things are kept.
        launcher: Starts containers.
        digests: Remembered digests.
        use_cache: Whether earlier outputs may be used.
        launched: Called with what was not found in the cache and is about to run.
        sources: The files that the pipeline came from.
        pause: Waits for a time before a further attempt; true where the run stops, and there is to be none.
        allow_unversioned: How the user takes data of a task as they are.
    """

    run_id: str
    pipeline: str
    home: Home
    launcher: Launcher
    digests: DigestStore
    use_cache: bool = True
    launched: Callable[[Call], None] = field(default=lambda call: None)
    sources: frozenset[Path] = frozenset()
    pause: Callable[[float], bool] = field(default=lambda seconds: False)
    allow_unversioned: Callable[[Json], str] = field(default=lambda task: ALLOW_UNVERSIONED)

    def carry(self, call: Call) -> Result:
        """Finds or makes the outputs of a call.

        Raises:
            UserError: An input that the call names is missing or cannot be read.
        """
        if "importer" in call.executor:
            return self._import(call)
        parts = self._key_parts(call)
        cacheable = self.use_cache and call.task.get("cachingOptions", {}).get("enableCache", False)
        if not cacheable:
            # Its own folder: what other runs made stays theirs, and so does what the turns of a loop make.
            parts["run"] = f"{self.run_id}/{call.name}"
        key = text_digest(json.dumps(parts, sort_keys=True))
        folder = self.home.artifacts / self.pipeline / _file_name(re.sub(r"\[\d+\]", "", call.name)) / key[7:23]
        with cache.locked(folder):
            manifest = cache.find(folder, key, self.digests)
            if manifest:
                return Result(State.CACHED, _outputs(manifest))
            return self._make(call, parts, key, folder)

    def log(self, name: str) -> Path:
        """The log file of a task."""
        # No two tasks share one: `step[2]`, `step-2` and `sub/step` are three.
        plain = name.replace("/", ".").replace("[", ".").replace("]", "")
        return self.home.runs / self.run_id / "logs" / f"{_file_name(plain)}.log"

    def _key_parts(self, call: Call) -> Json:
        """Everything that the outputs depend on, readable."""
        container = call.executor["container"]
        code = [self.launcher.identity(stage, container["image"]) for stage in members.stages(call.executor) or [""]]
        return {
            "container": {name: container.get(name) for name in ("command", "args")}
            | {"env": _key_variables(container)},
            "code": code if len(code) > 1 else code[0],
            "packages": self._packages(call) if self.launcher.uses_packages else [],
            "parameters": call.inputs.parameters,
            "named": self._all_named(call),
            "inputs": {name: [_as_seen(a) for a in found] for name, found in call.inputs.artifacts.items()},
            "outputs": call.component.get("outputDefinitions", {}),
            "variables": {name: os.environ.get(name) for name in _of_kubernetes(call, secrets=False)},
            "facts": {body: call.facts[body] for body in sorted(_bodies(container)) if body in call.facts},
        }

    @cached_property
    def _installed(self) -> Packages:
        return Packages(self.home.packages)

    def _packages(self, call: Call) -> list[Any]:
        return self._installed.behind(set().union(*map(self._imports, named.single(call))))

    def _imports(self, call: Call) -> set[str]:
        """What the code of a call imports: the stage, the user's modules, and modules that its parameters may name."""
        stage = spec.stage_name(call.executor)
        if not stage:
            return imports.of_command(call.executor["container"])
        modules = (user_modules.imports_behind(module) for module in named.modules(call))
        return set(self._installed.stage_imports(stage)).union(imports.named_in(call.inputs.parameters), *modules)

    def _all_named(self, call: Call) -> Json:
        """What the parameters of a call name; of a fused one by member."""
        if members.is_fused(call.executor):
            return {member.name: self._named(member) for member in named.single(call)}
        return self._named(call)

    def _named(self, call: Call) -> Json:
        """What the call's parameters name: the state of the data, files and modules behind them, and the places."""
        definitions = call.component.get("inputDefinitions", {}).get("parameters", {})
        found: Json = {}
        for name, value in call.inputs.parameters.items():
            role, detail = spec.mark(definitions.get(name, {}))
            if value and role == "Module":
                found[name] = user_modules.describe(value, detail)["digest"]
            elif value and role == "File":
                found[name] = self.digests.tree(_existing(name, value))
            elif value and role == "Operations":
                found[name] = custom_ops.digests(value, self.digests.tree)
            elif value and role == "Data":
                found[name] = self._data(call, value)
            elif value and role == "Destination":
                # The same name is another place in another working folder.
                found[name] = value if "://" in value else str(Path(value).absolute())
        return found

    def _data(self, call: Call, path: str) -> Any:
        parameters = call.inputs.parameters
        record = data_versions.describe(
            path,
            repo=parameters.get("data_repo", ""),
            allow_unversioned=parameters.get("allow_unversioned", False),
            hash_file=self.digests.file,
            allow=self.allow_unversioned(call.task),
        )
        # The commit of the moment is a fact about a run; data that did not change with it are the same data.
        return {name: value for name, value in record.items() if name != "commit"}

    def _make(self, call: Call, parts: Json, key: str, folder: Path) -> Result:
        began = time.monotonic()
        for pause in (*retries.pauses(call.task), None):
            staged = self.home.work / self.run_id / uuid.uuid4().hex
            staged.mkdir(parents=True)
            try:
                ended, executor_input, seen = self._launch(call, staged)
                status = ended.status
                if status == 0:
                    manifest = self._manifest(call, parts, key, staged, folder, executor_input, seen)
                    manifest.parameters.update(_written_parameters(call, executor_input, manifest.parameters))
                    result = self._keep(manifest, staged, folder, time.monotonic() - began)
                    return replace(result, cpu_seconds=ended.cpu_seconds, peak_mb=ended.peak_mb)
                if status == USER_ERROR or status < 0 or pause is None or self.pause(pause):
                    return Result(
                        _state_of(status),
                        error=self._error(call, status),
                        exit_status=USER_ERROR if status == USER_ERROR else 1,
                    )
            finally:
                shutil.rmtree(staged, ignore_errors=True)
        raise AssertionError("unreachable: the last attempt returns")

    def _launch(self, call: Call, staged: Path) -> tuple[Ended, Json, outputs.Seen]:
        executor_input = _executor_input(call, staged)
        container = call.executor["container"]
        environment = {name: os.environ[name] for name in _of_kubernetes(call) if name in os.environ}
        environment |= {variable["name"]: variable["value"] for variable in container.get("env", [])}
        # A pipeline that was compiled with its modules has their commit.
        environment.setdefault(provenance.COMMIT_VARIABLE, provenance.commit_text(self._commit(call)))
        if image := self._image(call):
            environment[provenance.IMAGE_VARIABLE] = image
        for name in ("outputs", "parameters", "tmp"):
            (staged / name).mkdir()
        # What a killed stage leaves goes with the staging folder.
        environment["TMPDIR"] = str(staged / "tmp")
        stage = spec.stage_name(call.executor)
        filled = fill_command(container.get("args", []), executor_input, call.facts)
        log = self.log(call.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        self.launched(call)
        job = Job(
            name=call.name,
            stage=_heaviest(members.stages(call.executor)),
            image=container["image"],
            command=fill_command(container.get("command", []), executor_input, call.facts),
            arguments=arguments.in_files(filled, staged) if stage else filled,
            log=log,
            environment=environment,
            paths=(self.home.root, *itertools.chain(*map(named.paths, named.single(call)))),
            imports=frozenset().union(*map(named.imports, named.single(call))),
            scratch=staged,
            environments=self.home.environments,
        )
        arguments.require_short(job.words, call.inputs.parameters)
        return self.launcher.launch(job), executor_input, functools.partial(self.launcher.seen, job)

    def _keep(self, manifest: Manifest, staged: Path, folder: Path, seconds: float) -> Result:
        manifest = Manifest(**{**manifest.__dict__, "seconds": round(seconds, 3)})
        kept = cache.keep(staged / "outputs", folder, manifest, self.digests)
        return Result(State.SUCCEEDED, _outputs(kept))

    def _manifest(
        self, call: Call, parts: Json, key: str, staged: Path, folder: Path, executor_input: Json, seen: outputs.Seen
    ) -> Manifest:
        """Reads the ExecutorOutput, if any, and says where the artifacts will lie."""
        output_file = Path(executor_input["outputs"]["outputFile"])
        output = json.loads(output_file.read_text()) if output_file.is_file() else {}
        output_file.unlink(missing_ok=True)
        artifacts = {}
        for name, declared in executor_input["outputs"]["artifacts"].items():
            written = output.get("artifacts", {}).get(name, {}).get("artifacts") or declared["artifacts"]
            if members.is_fused(call.executor) and SKIPPED in written[0]["metadata"]:
                continue
            place = staged / "outputs" / name
            merged = [outputs.kept(_merged(declared["artifacts"][0], each), place, seen, call.name) for each in written]
            for artifact in merged:
                artifact["metadata"] = {**_typed(call, name), **artifact["metadata"]}
                self._stamp(call, name, artifact, staged)
                artifact["uri"] = artifact["uri"].replace(str(staged / "outputs"), str(folder))
            artifacts[name] = merged
        return Manifest(key, parts, dict(output.get("parameterValues", {})), artifacts)

    def _stamp(self, call: Call, name: str, artifact: Json, staged: Path) -> None:
        """Gives provenance to what a container that is no stage of ours wrote, so that no chain breaks there."""
        path = local_path(artifact["uri"])
        if "provenance" in artifact["metadata"] or not path.exists():
            return
        inputs = {port: _artifact(found[0]) for port, found in call.inputs.artifacts.items() if found}
        made_by = {
            **provenance.activity(call.name, call.inputs.parameters, {}, inputs, self._commit(call)),
            "stage_version": text_digest(json.dumps(call.executor, sort_keys=True)),
            "image": self._image(call),
        }
        stamped = _artifact(artifact)
        # A folder elsewhere is the user's, and nothing is written into it.
        provenance.stamp(stamped, name, made_by, inputs, beside=path.is_relative_to(staged))
        artifact["metadata"] = stamped.metadata

    @cached_property
    def _code_commit(self) -> provenance.Commit:
        """Asked once a run: in a large repository it takes its time."""
        return provenance.code_commit()

    def _commit(self, call: Call) -> provenance.Commit:
        covered = map(named.covered, named.single(call))
        return provenance.commit_with(itertools.chain(self.sources, *covered), self._code_commit)

    def _image(self, call: Call) -> str:
        """The image that a call runs in, with its digest; empty for a process."""
        image = call.executor["container"]["image"]
        digest = self.launcher.digest(image)
        return f"{image}@{digest}" if digest else ""

    def _error(self, call: Call, status: int) -> str:
        """Why a container failed: what the stage said last, or the last lines of its log."""
        log = self.log(call.name)
        lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
        said = [index for index, line in enumerate(lines) if line.startswith("error: ")]
        if said:
            return "\n".join(lines[said[-1] :]).removeprefix("error: ")
        how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
        # What an engine knows of memory is that of the container's own limit.
        how += ", as the kernel does when memory runs out" if status == -signal.SIGKILL else ""
        return "\n".join([f"{call.name} {how}; its log ends:", *(f"  {line}" for line in lines[-_LAST_LINES:])])

    def _import(self, call: Call) -> Result:
        """An importer's artifact: it stays where it is, and its digest goes into the lineage."""
        importer = call.executor["importer"]
        source = importer["artifactUri"]
        uri = source.get("constant") or call.inputs.parameters[source["runtimeParameter"]]
        path = local_path(str(uri).removeprefix("file://"))
        if not path.exists():
            raise UserError(
                f"{call.name} imports {uri}, which is not there", fix="name a file or folder of this machine"
            )
        metadata = {**importer.get("metadata", {}), "digest": self.digests.tree(path)}
        artifact = {
            "name": call.name,
            "uri": str(path.absolute()),
            "type": importer["typeSchema"],
            "metadata": metadata,
        }
        return Result(State.SUCCEEDED, Values(artifacts={"artifact": [artifact]}))


def artifact_of(runtime: Mapping[str, Any]) -> Artifact:
    """A RuntimeArtifact document as an artifact of its TFX type, or of none."""
    return _artifact(runtime)


def _artifact(runtime: Mapping[str, Any]) -> Artifact:
    kind = TYPES.get(runtime.get("metadata", {}).get("tfx_type", ""), Artifact)
    return kind(local_path(runtime["uri"]), dict(runtime.get("metadata", {})), runtime["uri"])


def _heaviest(names: list[str]) -> str:
    """Of the stages that a container runs the one that loads most; empty where there is none."""
    known = [name for name in names if name in stages.names()]
    return max(known, key=lambda name: len(stages.load(name).loads), default=next(iter(names), ""))


def _executor_input(call: Call, staged: Path) -> Json:
    """The ExecutorInput as Kubeflow's launcher writes it, with outputs in the staging folder."""
    definitions = call.component.get("outputDefinitions", {})
    return {
        "inputs": {
            "parameterValues": call.inputs.parameters,
            "artifacts": {name: {"artifacts": found} for name, found in call.inputs.artifacts.items()},
        },
        "outputs": {
            "parameters": {
                name: {"outputFile": str(staged / "parameters" / name)} for name in definitions.get("parameters", {})
            },
            "artifacts": {
                name: {"artifacts": [_declared(name, definition, staged)]}
                for name, definition in definitions.get("artifacts", {}).items()
            },
            # Where kfp's `get_uri` looks for a place that is kept.
            "outputFile": str(staged / "outputs" / "executor_output.json"),
        },
    }


def _of_kubernetes(call: Call, *, secrets: bool = True) -> list[str]:
    """The variables that Kubernetes would give a task, and the environment of the run gives here."""
    return [name for name, origin, _ in refusals.variables(call.platform) if secrets or "secret" not in origin.split()]


def _bodies(container: Json) -> set[str]:
    return set(bodies([*container.get("command", []), *container.get("args", [])]))


def _declared(name: str, definition: Json, staged: Path) -> Json:
    return {"name": name, "uri": str(staged / "outputs" / name), "type": definition["artifactType"], "metadata": {}}


def _typed(call: Call, output: str) -> Json:
    """The metadata that give an output the TFX type which stands before its description."""
    kind = spec.mark(call.component["outputDefinitions"]["artifacts"][output])[0]
    return {"tfx_type": kind, "tfx_version": TFX_VERSION} if kind in TYPES else {}


def _merged(declared: Json, written: Json) -> Json:
    return {**declared, **written, "metadata": {**declared["metadata"], **written.get("metadata", {})}}


def _written_parameters(call: Call, executor_input: Json, known: Json) -> Json:
    """Output parameters that a container wrote to their files only."""
    definitions = call.component.get("outputDefinitions", {}).get("parameters", {})
    found = {}
    for name, where in executor_input["outputs"]["parameters"].items():
        path = Path(where["outputFile"])
        if name not in known:
            if not path.is_file():
                raise UserError(f"{call.name} wrote no value for its output {name!r}")
            found[name] = _parsed(name, definitions[name], path.read_bytes())
    return found


# As Go's strconv.ParseBool reads it.
_BOOLEANS = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "false", "FALSE", "False"), False
)
_READERS: dict[str, Callable[[str], Any]] = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": float,
    "BOOLEAN": lambda text: _BOOLEANS[text.strip()],
}


def _parsed(name: str, definition: Json, written: bytes) -> Any:
    """What a container wrote into an output's file, read as Kubeflow's launcher reads it."""
    kind = definition["parameterType"]
    try:
        value = _READERS.get(kind, json.loads)(written.decode())
    except (KeyError, ValueError):
        value = None
    if not isinstance(value, spec.TYPES.get(kind, object)):
        shown = written[:100].decode(errors="replace")
        raise UserError(f"the output {name!r} takes a {kind.lower()}, not {shown!r}")
    return spec.coerced(name, definition, value)


def _key_variables(container: Json) -> list[Json] | None:
    """The variables that a container's outputs depend on: the commit is a fact about the pipeline's making."""
    variables = container.get("env")
    return variables and [each for each in variables if each["name"] != provenance.COMMIT_VARIABLE]


def _outputs(manifest: Manifest) -> Values:
    return Values(manifest.parameters, manifest.artifacts)


def _as_seen(artifact: Json) -> Json:
    """What a task can tell two artifacts apart by: content and metadata; not where they lie, nor their provenance."""
    metadata = {name: value for name, value in artifact["metadata"].items() if name not in _APART}
    described: Json = {name: artifact[name] for name in ("name", "type") if name in artifact}
    return {**described, "digest": _digest(artifact), "metadata": metadata}


def _digest(artifact: Json) -> str:
    """The digest of an artifact's content; elsewhere its place, and nothing where no file was written (metrics)."""
    return str(artifact["metadata"].get("digest") or ("://" in artifact["uri"] and artifact["uri"]) or "")


def _existing(name: str, value: str) -> Path:
    path = Path(value)
    if not path.exists():
        raise UserError(f"the parameter {name!r} names {value}, which is not there")
    return path


def _state_of(status: int) -> State:
    """SIGTERM is what `stop` sends; any other end is the task's own."""
    return State.CANCELED if status == -signal.SIGTERM else State.FAILED


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-")
