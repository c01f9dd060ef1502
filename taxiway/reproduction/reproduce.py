"""Rebuilds an artifact: checks out its commit and data, and runs its stages with a TAXIWAY_HOME of their own."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.contract.artifacts import Artifact
from components.contract.digests import tree_digest
from components.contract.errors import TaxiwayError, UserError
from components.execution.executor import local_path
from components.execution.provenance import Record, chain
from components.processes import children
from taxiway.language.values import Json
from taxiway.lineage.chain import trace
from taxiway.reproduction import calls, checkout, comparison
from taxiway.reproduction.calls import Call
from taxiway.reproduction.comparison import DIFFERS, EQUAL, MISSING, Made, Outcome
from taxiway.storage.cache import MANIFEST

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore


@dataclass(frozen=True)
class Reproduction:
    """The result of rebuilding a target.

    Attributes:
        target: The target as given by the user.
        commit: The commit that was checked out.
        stages: The result of each call, in the order in which they ran.
        metrics: Metrics that differ or exist on one side only: the recorded value and the new one.
        notes: What was done differently from the recorded run.
    """

    target: str
    commit: str
    stages: list[Outcome]
    metrics: dict[str, tuple[float | None, float | None]]
    notes: list[str]

    @property
    def is_equal(self) -> bool:
        """Whether all outputs are equal."""
        return all(stage.state == EQUAL for stage in self.stages)

    @property
    def first_difference(self) -> Outcome | None:
        """The first call that differs or failed."""
        return next((stage for stage in self.stages if stage.state in (DIFFERS, MISSING)), None)


def reproduce(target: str, store: LineageStore | None = None) -> Reproduction:
    """Rebuilds a pushed version or an artifact from its lineage, and compares the results.

    Args:
        target: A pushed version's folder or URL, an artifact's path, or a digest.
        store: The lineage store; without one, the target's own files are read.

    Raises:
        UserError: The lineage is unknown or has no commit, the commit is missing, or a stage is not one of Taxiway's.
        TaxiwayError: The data no longer exists.
    """
    records = trace(target, store=store).records
    commit = _commit(records)
    with checkout.folder() as folder:
        here = checkout.check_out(commit, folder / "checkout")
        plan = _Plan(records, here, store)
        made = _run(plan.pipeline(), {call.task for call in plan.calls}, here, folder)
        stages = [comparison.compare(call, made.get(call.task, {})) for call in plan.calls]
        return Reproduction(target, commit, stages, _metrics(plan.calls, made), plan.notes)


def to_json(found: Reproduction) -> str:
    """A reproduction as JSON."""
    return json.dumps({"equal": found.is_equal, **dataclasses.asdict(found)}, indent=1)


def _commit(records: Sequence[Record]) -> str:
    """The commit of the code that made a target; if there is a model, the model's commit."""
    found = [record for record in records if record.get("code", {}).get("commit")]
    models = [record for record in found if record["type"] == "Model" and record["code"]["modules"]]
    if not found:
        raise UserError(
            "the lineage contains no commit: it was made outside a Git repository, or by an image without one",
            fix="commit the code before a run, and build images in a checkout",
        )
    return str((models or found)[0]["code"]["commit"])


class _Plan:
    """The calls to repeat, and where their inputs come from."""

    def __init__(self, records: Sequence[Record], here: Path, store: LineageStore | None) -> None:
        self.notes: list[str] = []
        self._store = store
        stages = {record["stage"] for record in records}
        self._components = {stage: calls.component(stage, here) for stage in stages}
        # Stages that read or write a destination outside their artifacts are not repeated.
        skipped = {stage for stage, c in self._components.items() if "Destination" in calls.roles(c).values()}
        self.calls = [self._with_data(call, here) for call in calls.calls(records, skipped)]
        if not self.calls:
            raise UserError("there is nothing to rebuild: no stage before this one is known")
        self._imported = self._places(records)

    def pipeline(self) -> Json:
        """The compiled pipeline of all calls."""
        used = {call.stage: self._components[call.stage] for call in self.calls}
        return calls.pipeline(self.calls, used, self._imported)

    def _with_data(self, call: Call, here: Path) -> Call:
        names = {role: name for name, role in calls.roles(self._components[call.stage]).items()}
        data = next((record["data"] for record in call.outputs.values() if record.get("data")), None)
        if "Tables" in names and data:
            return calls.with_parameters(call, _pinned(data, call.parameters[names["Tables"]], names["Tables"]))
        if "Data" not in names or not data:
            return call
        try:
            return calls.with_parameters(call, checkout.bring_data(data, call.parameters, names, here))
        except TaxiwayError as error:
            raise UserError(f"the data of {call.stage} no longer exists: {error.what}", fix=error.fix) from error

    def _places(self, records: Sequence[Record]) -> dict[str, tuple[str, str]]:
        """Where to find the inputs that no call makes, such as the baseline model."""
        found = {}
        for call in self.calls:
            for port, digest in call.external.items():
                kind = next((record["type"] for record in records if record["digest"] == digest), "")
                if place := self._place(digest):
                    found[digest] = (place, kind)
                elif calls.optional(self._components[call.stage], port):
                    self.notes.append(f"{call.task} ran without {port}: {digest[:19]} no longer exists")
                else:
                    raise UserError(f"the input {port} of {call.task} no longer exists: {digest}")
        return found

    def _place(self, digest: str) -> str:
        stored = self._store.artifacts() if self._store else []
        for artifact in stored:
            path = local_path(artifact.uri)
            if artifact.digest == digest and path.exists() and tree_digest(path) == digest:
                return artifact.uri
        return ""


def _pinned(data: Record, tables: str, name: str) -> Json:
    """The parameters with which a call reads the versions of the tables that it read then."""
    place = tables if "://" in tables else str(Path(tables).absolute())
    return {name: place, **data.get("pinned", {})}


def _run(pipeline: Json, wanted: set[str], here: Path, folder: Path) -> dict[str, dict[str, Made]]:
    """Runs a pipeline with the checked out code; returns the outputs of the wanted tasks, by task and output."""
    file = folder / f"{calls.NAME}.yaml"
    file.write_text(json.dumps(pipeline))
    environment = {**os.environ, "TAXIWAY_HOME": str(folder / "home")}
    environment.pop("TAXIWAY_LINEAGE", None)
    parent = os.getpid()
    done = subprocess.run(
        [sys.executable, "-m", "taxiway", "run", str(file), "--no-cache", "--json"],
        cwd=here,
        env=environment,
        stdout=subprocess.PIPE,
        check=False,
        preexec_fn=lambda: children.die_with(parent),
    )
    if not done.stdout:
        raise UserError("the stages could not be run with the code of that commit (see above)")
    tasks = json.loads(done.stdout)["tasks"]
    return {
        name: {output: _made(local_path(uri), output) for output, uri in task["outputs"].items()}
        for name, task in tasks.items()
        if name in wanted
    }


def _made(path: Path, output: str) -> Made:
    manifest = path.parent / MANIFEST
    metadata: dict[str, Any] = {}
    if manifest.is_file():
        metadata = json.loads(manifest.read_text())["artifacts"][output][0]["metadata"]
    records = chain(Artifact(path, metadata))
    return Made(records[0] if records else {"digest": tree_digest(path), "inputs": {}, "code": {}})


def _metrics(
    found: Sequence[Call], made: Mapping[str, Mapping[str, Made]]
) -> dict[str, tuple[float | None, float | None]]:
    then, now = dict[str, float](), dict[str, float]()
    evaluations = [(c, output, r) for c in found for output, r in c.outputs.items() if "metrics" in r]
    for call, output, record in evaluations:
        then |= record["metrics"]
        if again := made.get(call.task, {}).get(output):
            now |= again.record.get("metrics", {})
    return {name: (then.get(name), now.get(name)) for name in sorted({*then, *now}) if then.get(name) != now.get(name)}
