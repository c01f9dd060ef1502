"""Runs of cycles on Kubeflow, found again by names that follow from the cycle: what is there is not submitted again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from components.contract.errors import UserError
from taxiway.lineage.loop.cycle import Cycle
from taxiway.loop.runs.local import run_id
from taxiway.loop.runs.look import ENDED, MISSING, RUNNING, Look
from taxiway.loop.runs.parameters import filled
from taxiway.loop.settings import Settings
from taxiway.runner.call import State
from taxiway.runs.record import Run
from taxiway.storage.home import Home

if TYPE_CHECKING:
    from taxiway.kubeflow.host import Host

_ENDS = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


@dataclass
class SubmittedRuns:
    """The runs of a model's cycles.

    Attributes:
        home: Where their lineage is recorded.
    """

    home: Home
    _refused: dict[str, str] = field(default_factory=dict)

    def look(self, cycle: Cycle, settings: Settings) -> Look:
        """What the cycle's run does."""
        from taxiway.kubeflow import following, submission

        name, host = run_id(cycle, settings), _host(settings)
        if name in self._refused:
            return Look(ENDED, name, f"the run {name} was refused: {self._refused[name]}")
        found = submission.named(host, name)
        if not found:
            return Look(MISSING, name)
        pipeline, submitted = submission.started(host, found)
        run = Run(name, pipeline.name, self.home.runs / name)
        (run.folder / "logs").mkdir(parents=True, exist_ok=True)
        state = str(following.look_once(host, pipeline, found, run, self.home).state)
        facts = {"page": submitted.page, "kubeflow_run": found}
        if state not in _ENDS:
            return Look(RUNNING, name, facts=facts)
        error = "" if run.state == State.SUCCEEDED else f"the run {name} {str(run.state).lower()}: {run.error}"
        return Look(ENDED, name, error, facts)

    def start(self, cycle: Cycle, settings: Settings, name: str) -> None:
        """Submits a run."""
        from taxiway.kubeflow import compilation, submission

        kubeflow, given = settings.kubeflow, filled(settings.parameters, cycle.trigger)
        assert kubeflow
        try:
            compiled = compilation.compiled(
                settings.pipeline, kubeflow.profiles, kubeflow.inline_modules, given, kubeflow.fuse
            )
            submission.submit(_host(settings), compiled, given, kubeflow.experiment or compiled.name, name)
        except UserError as error:
            self._refused[name] = error.what


def _host(settings: Settings) -> Host:
    from taxiway.kubeflow.host import Host
    from taxiway.network.login import Login

    kubeflow = settings.kubeflow
    assert kubeflow
    files = [Path(each) if each else None for each in (kubeflow.token_file, kubeflow.cookie_file, kubeflow.ca)]
    return Host(kubeflow.host, kubeflow.namespace, Login(files[0], files[1], kubeflow.header), files[2])
