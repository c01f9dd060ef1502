"""Runs the members of a plan one after another, each in a forked child, and writes what they gave as one output."""

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
        ServiceError: A member's process was killed.
    """
    os.environ.update(preload.ENVIRONMENT)
    with tempfile.TemporaryDirectory() as scratch:
        outcomes = _Outcomes(executor_input, Path(scratch))
        finding = Finding(stage_cache.place(executor_input), Path(scratch))
        for index, member in enumerate(members):
            print(report.started(member.name, index + 1, len(members)), flush=True)
            if status := _carry_out(member, outcomes, finding, execute, members[index + 1 : index + 2]):
                return status
        outcomes.write()
    return 0


def _carry_out(
    member: Member, outcomes: _Outcomes, finding: Finding, execute: Execute, following: Sequence[Member]
) -> int:
    compared = outcomes.parameters(member.compared)
    if member.condition and not conditions.holds(member.condition, compared):
        print(report.skipped(member.condition), flush=True)
        outcomes.skip(member)
        return 0
    executor_input = outcomes.executor_input(member)
    if not finding.finds(member, executor_input):
        # A member that is never cached says nothing about the next one, which may be.
        following = following if member.cached or not finding.is_on else ()
        if status := _in_child(member, executor_input, finding.keeping(member, execute), following):
            return status
    outcomes.take(member)
    return 0


def _in_child(member: Member, executor_input: Json, execute: Execute, following: Sequence[Member]) -> int:
    """Runs a member in a child; while it runs, this process loads what the next one needs."""
    _load(member)
    pid = children.fork(lambda: _be(member, executor_input, execute))
    for each in following:
        _load(each)
    status = children.status(pid)
    if status < 0:
        memory = ", as the kernel does when memory runs out" if status == -9 else ""
        raise ServiceError(f"{member.name} was killed by signal {-status}{memory}")
    return status


def _be(member: Member, executor_input: Json, execute: Execute) -> None:
    began = time.monotonic()
    status = execute(member.stage, executor_input)
    # Last of a failed one is its error.
    if status == 0:
        print(report.done(member.name, time.monotonic() - began), flush=True)
    raise SystemExit(status)


def _load(member: Member) -> None:
    """Imports what a member's stage declares: those after it share it."""
    for module in (name for libraries in stages.load(member.stage).loads for name in libraries.modules):
        try:
            importlib.import_module(module)
        except Exception:
            # The stage that needs it says so itself.
            traceback.print_exc()
    # Children share the pages of what is loaded; the collector would touch them all.
    gc.freeze()


class _Outcomes:
    """What the container was given, and what its members gave so far."""

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
        """The values of parameters, where they are from."""
        return {name: self._parameter(source) for name, source in sources.items()}

    def take(self, member: Member) -> None:
        """Keeps what a member's ExecutorOutput says."""
        self._given[member.name] = json.loads(self._file(member).read_text())

    def skip(self, member: Member) -> None:
        """Says of a member's outputs that there are none: Kubeflow registers an artifact for each that is declared."""
        said = {"metadata": {SKIPPED: member.condition}}
        for name, declared in self._outputs.get("artifacts", {}).items():
            if name.startswith(member.prefix):
                self._skipped[name] = {"artifacts": [{**each, **said} for each in declared["artifacts"]]}

    def write(self) -> None:
        """Writes the container's ExecutorOutput."""
        output: Json = {"parameterValues": {}, "artifacts": dict(self._skipped)}
        for kind, found in output.items():
            for member, given in self._given.items():
                found.update({f"{prefix(member)}{name}": value for name, value in given.get(kind, {}).items()})
        path = Path(self._outputs["outputFile"])
        path.parent.mkdir(parents=True, exist_ok=True)
        # Only read once, as soon as the stage has ended.
        files.write(path, json.dumps(output), synced=False)

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
