"""The whole validation: serves a copy of the candidate, checks its answers, and makes the copy the stamped model."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.contract.artifacts import Examples, InfraBlessing, Model
from components.contract.errors import UserError
from components.contract.files import whole_folder
from components.execution.pushed_models import STAMPED_MODEL, serving_model
from components.infra_validator.failure import FailedError
from components.infra_validator.servers.linked_copy import link_tree
from components.infra_validator.servers.platforms import Local, Platform
from components.infra_validator.servers.server import MODEL_NAME, Server
from components.infra_validator.servers.start import started

if TYPE_CHECKING:
    from components.infra_validator.examination import Findings

_LOG_LINES = 20
_VERSION = "1"


@dataclass(frozen=True, kw_only=True)
class Checks:
    """The checks for a candidate; see the stage's parameters.

    Raises:
        UserError: A value is invalid.
    """

    splits: list[str]
    signatures: list[str]
    num_examples: int
    max_latency_ms: float
    max_loading_seconds: float
    num_tries: int
    make_warmup: bool
    must_pass: bool

    def __post_init__(self) -> None:
        for name in ("num_examples", "num_tries", "max_loading_seconds"):
            if getattr(self, name) <= 0:
                raise UserError(f"{name} is {getattr(self, name)}", fix="use a number above 0")
        if self.max_latency_ms < 0:
            raise UserError(f"max_latency_ms is {self.max_latency_ms}", fix="use a number above 0, or 0 for no limit")


@dataclass
class Report:
    """The verdict, for `report.json`, and the measurements, which differ each time."""

    blessed: bool = False
    step: str = ""
    message: str = ""
    log: list[str] = field(default_factory=list)
    tries: int = 0
    loading_seconds: float | None = None
    latency: dict[str, dict[str, float]] = field(default_factory=dict)

    def passed(self, findings: Findings) -> None:
        """Records that the candidate passed."""
        self.blessed, self.step, self.message, self.log = True, "", "", []
        self.loading_seconds, self.latency = findings.loading_seconds, findings.latency
        print(f"infra_validator: blessed: AVAILABLE after {self.loading_seconds} s {self._latencies()}", flush=True)

    def failed(self, error: FailedError, server: Server) -> None:
        """Records a failure, and the end of the server's output."""
        self.step, self.message, self.log = error.step, error.message, server.log().splitlines()[-_LOG_LINES:]
        print(f"infra_validator: try {self.tries} failed: {error}", *self.log, sep="\n  ", flush=True)

    def write(self, folder: Path) -> None:
        """Writes the verdict and TFX's marker."""
        verdict = {name: vars(self)[name] for name in ("blessed", "step", "message", "log")}
        (folder / "report.json").write_text(json.dumps(verdict, indent=1) + "\n")
        (folder / ("INFRA_BLESSED" if self.blessed else "INFRA_NOT_BLESSED")).touch()

    def measured(self) -> dict[str, Any]:
        """The measurements for the metadata; they are not in the files, so that equal verdicts give equal artifacts."""
        return {name: vars(self)[name] for name in ("tries", "loading_seconds", "latency") if vars(self)[name]}

    def _latencies(self) -> str:
        return "".join(f"; {name} p99 {found['p99_ms']} ms" for name, found in self.latency.items())


def _examined(
    platform: Platform,
    *,
    base: Path,
    examples: Examples | None,
    checks: Checks,
    report: Report,
    custom_ops: Sequence[str],
) -> Findings | None:
    """One try: the findings if the candidate passed, None if it failed."""
    with tempfile.TemporaryDirectory() as folder, started(platform, base, Path(folder), custom_ops) as server:
        # This imports TensorFlow, while the server starts.
        from components.infra_validator.examination import examine

        report.tries += 1
        try:
            findings = examine(
                server,
                base / _VERSION,
                examples,
                splits=checks.splits,
                wanted=checks.signatures,
                num_examples=checks.num_examples,
                max_latency_ms=checks.max_latency_ms,
                max_loading_seconds=checks.max_loading_seconds,
            )
        except FailedError as error:
            report.failed(error, server)
            return None
        report.passed(findings)
        return findings


def _keep_stamped(base: Path, findings: Findings) -> None:
    from components.infra_validator.warmup_requests import write_warmup

    write_warmup(base / _VERSION, findings.requests)
    (base / _VERSION).rename(base.with_name(STAMPED_MODEL))


def _require_local(platform: Platform) -> None:
    if not isinstance(platform, Local):
        raise UserError(
            "custom_ops is set, but the candidate's server runs in its own image",
            fix="build the operations into the image's server, and remove custom_ops",
        )


def validate(
    model: Model,
    *,
    examples: Examples | None,
    blessing: InfraBlessing,
    platform: Platform,
    checks: Checks,
    custom_ops: Sequence[str] = (),
) -> bool:
    """Serves a candidate, checks its answers, and writes the blessing; see the stage.

    Raises:
        UserError: A setting is wrong; or the candidate failed and `must_pass` is set.
        DataError: The model has no SavedModel, or there are no examples to send.
        ServiceError: The server cannot be started.
    """
    if custom_ops:
        _require_local(platform)
    report = Report()
    findings = None
    with whole_folder(blessing.path) as folder:
        base = folder / MODEL_NAME
        link_tree(serving_model(model), base / _VERSION)
        while findings is None and report.tries < checks.num_tries:
            findings = _examined(
                platform, base=base, examples=examples, checks=checks, report=report, custom_ops=custom_ops
            )
        if checks.must_pass and not report.blessed:
            raise UserError(
                f"the model failed at the step {report.step!r}: {report.message}",
                fix="see the end of the server's output in the log of this stage",
            )
        has_model = bool(checks.make_warmup and findings and findings.requests)
        if findings and has_model:
            _keep_stamped(base, findings)
        shutil.rmtree(base)
        report.write(folder)
    blessing.metadata.update(blessed=int(report.blessed), has_model=int(has_model), **report.measured())
    return report.blessed
