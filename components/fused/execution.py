"""Runs the members of a plan one after another, each in a forked child, and writes their outputs as one."""

from __future__ import annotations

import gc
import importlib
import json
import os
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.contract import files
from components.contract.errors import ServiceError
from components.execution import stages
from components.fused import conditions, report, stage_cache
from components.fused.finding import Execute, Finding
from components.fused.plan import SKIPPED, Member, Source, prefix
from components.processes import children, preload

Json = dict[str, Any]


def run(members: Sequence[Member], executor_input: Json, execute: Execute) -> int:
    """Runs members until one fails, and returns the exit status of the last.

    Args:
        members: See `components.fused.plan`.
        executor_input: The container's ExecutorInput.
        execute: See `Execute`; it is called in a child.

    Raises:
        UserError: A setting of the stage cache is wrong.
        ServiceError: A member's process was killed.
    """
    stage_cache.days()
    os.environ.update(preload.ENVIRONMENT)
    with tempfile.TemporaryDirectory() as scratch:
        outputs = _Outputs(executor_input, Path(scratch))
        finding = Finding(stage_cache.place(executor_input), Path(scratch))
        for index, member in enumerate(members):
            print(report.started(member.name, index + 1, len(members)), flush=True)
            if status := _run(member, outputs, finding, execute, members[index + 1 : index + 2]):
                return status
        outputs.write()
    return 0


def _run(member: Member, outputs: _Outputs, finding: Finding, execute: Execute, following: Sequence[Member]) -> int:
    compared = outputs.parameters(member.compared)
    if member.condition and not conditions.holds(member.condition, compared):
        print(report.skipped(member.condition), flush=True)
        outputs.skip(member)
        return 0
    executor_input = outputs.executor_input(member)
    if not finding.finds(member, executor_input):
        # A member that is never cached says nothing about the next one, which may be.
        following = following if member.cached or not finding.is_on else ()
        if status := _in_child(member, executor_input, finding.keeping(member, execute), following):
            return status
    outputs.collect(member)
    return 0


def _in_child(member: Member, executor_input: Json, execute: Execute, following: Sequence[Member]) -> int:
    """Runs a member in a child process; meanwhile, this process loads the libraries of the next member."""
    _load(member)
    pid = children.fork(lambda: _run_in_child(member, executor_input, execute))
    for each in following:
        _load(each)
    status = children.status(pid)
    if status < 0:
        memory = ", as the kernel does when memory runs out" if status == -9 else ""
        raise ServiceError(f"{member.name} was killed by signal {-status}{memory}")
    return status


def _run_in_child(member: Member, executor_input: Json, execute: Execute) -> None:
    began = time.monotonic()
    status = execute(member.stage, executor_input)
    # The output of a failed member must end with its error.
    if status == 0:
        print(report.done(member.name, time.monotonic() - began), flush=True)
    raise SystemExit(status)


def _load(member: Member) -> None:
    """Imports the libraries that a member's stage declares; later members share them."""
    for module in (name for libraries in stages.load(member.stage).loads for name in libraries.modules):
        try:
            importlib.import_module(module)
        except Exception:
            # The stage that needs the module reports the error itself.
            traceback.print_exc()
    # Children share the memory pages of what is loaded; the collector would write to them all.
    gc.freeze()


class _Outputs:
    """The container's inputs, and the outputs of its members so far."""

    def __init__(self, executor_input: Json, scratch: Path) -> None:
        self._inputs = executor_input.get("inputs", {})
        self._outputs = executor_input["outputs"]
        self._scratch = scratch
        self._given: dict[str, Json] = {}
        self._skipped: Json = {}

    def executor_input(self, member: Member) -> Json:
        """A member's own ExecutorInput."""
        own = member.own(self._inputs.get("parameterValues", {}))
        artifacts = {name: self._artifacts(source) for name, source in member.artifacts.items()}
        outputs = {kind: member.own(self._outputs.get(kind, {})) for kind in ("parameters", "artifacts")}
        return {
            "inputs": {
                "parameterValues": own | self.parameters(member.parameters),
                "artifacts": {name: found for name, found in artifacts.items() if found},
            },
            "outputs": {**outputs, "outputFile": str(self._file(member))},
        }

    def parameters(self, sources: Mapping[str, Source]) -> Json:
        """The values of parameters from these sources."""
        return {name: self._parameter(source) for name, source in sources.items()}

    def collect(self, member: Member) -> None:
        """Reads a member's ExecutorOutput."""
        self._given[member.name] = json.loads(self._file(member).read_text())

    def skip(self, member: Member) -> None:
        """Marks a member's outputs as skipped, because Kubeflow registers an artifact for each declared output."""
        mark = {"metadata": {SKIPPED: member.condition}}
        for name, declared in self._outputs.get("artifacts", {}).items():
            if name.startswith(member.prefix):
                self._skipped[name] = {"artifacts": [{**each, **mark} for each in declared["artifacts"]]}

    def write(self) -> None:
        """Writes the container's ExecutorOutput."""
        output: Json = {"parameterValues": {}, "artifacts": dict(self._skipped)}
        for kind, found in output.items():
            for member, given in self._given.items():
                found.update({f"{prefix(member)}{name}": value for name, value in given.get(kind, {}).items()})
        path = Path(self._outputs["outputFile"])
        path.parent.mkdir(parents=True, exist_ok=True)
        # Only read once, as soon as the stage has ended.
        files.write(path, json.dumps(output))

    def _file(self, member: Member) -> Path:
        return self._scratch / f"{member.name}.json"

    def _parameter(self, source: Source) -> Any:
        if not source.member:
            return self._inputs.get("parameterValues", {}).get(source.name)
        return self._given[source.member]["parameterValues"][source.name]

    def _artifacts(self, source: Source) -> Json | None:
        found = self._given[source.member] if source.member else self._inputs
        given: Json | None = found.get("artifacts", {}).get(source.name)
        return given
