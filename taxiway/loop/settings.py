"""The settings of a loop: the file loop.yaml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.contract.commands import typed as command
from components.contract.errors import UserError
from components.contract.settings import named, require_choice, typed
from components.contract.times import duration
from taxiway import yaml_files
from taxiway.alerts import settings as alerts
from taxiway.alerts.settings import Alerts
from taxiway.delivery import settings as delivery
from taxiway.loop.triggers.limits import Limits, checked_zone
from taxiway.loop.triggers.settings import TriggerSettings, all_parsed

RUN, SUBMIT = "run", "submit"
ENDS = ("promoted", "nothing_pushed", "rolled_back", "failed", "approval")
"""What can be told of a cycle."""

FACT = "trigger."
"""A parameter's value that begins like this is filled from the trigger."""

COMMON_FACTS = ("window_start", "window_end", "champion", "id", "name", "kind", "reason", "time")
"""What all triggers have."""

FACTS = (*COMMON_FACTS, "since", "alarm", "columns", "metric", "value", "place", "labels")
"""What a parameter can be filled with; docs/loop/triggers.md says which trigger has which."""

_FIX = f"write one with `{command('taxiway loop init', 'MODEL')}`"


@dataclass(frozen=True)
class Kubeflow:
    """Where pipelines are submitted.

    Attributes:
        host: The URL of Kubeflow Pipelines.
        namespace: Your namespace, on a multi-user Kubeflow.
        experiment: The experiment of the runs; empty for the pipeline's name.
        token_file: A file with a token.
        cookie_file: A file with a session's cookies.
        header: A header, such as `kubeflow-userid: EMAIL`.
        ca: A file with the CA certificate of the server.
        profiles: Resource profiles of the pipeline.
        inline_modules: Whether the source of your modules is embedded.
        fuse: Whether neighbouring stages share a pod.
    """

    host: str
    namespace: str = ""
    experiment: str = ""
    token_file: str = ""
    cookie_file: str = ""
    header: str = ""
    ca: str = ""
    profiles: list[str] = field(default_factory=list)
    inline_modules: bool = False
    fuse: bool = False


@dataclass(frozen=True)
class Plain:
    """The settings that no section has a parser of its own for.

    Attributes:
        model: The model, by the name that servers know it by.
        pipeline: What is run: a folder in pipelines/, a Python file or a compiled YAML file.
        action: `run` on this machine, or `submit` to Kubeflow.
        parameters: The pipeline's parameters; `trigger.window_start` and the like are filled from the trigger.
        tables: The folder or URL with the tables of all models; empty for .taxiway/monitoring.
        window: The length of the window of data to train on, if the trigger does not say.
        time_zone: The zone of schedules and quiet hours.
        cool_down: The default of the triggers.
        budget_per_day: The most cycles in 24 hours, whatever triggers them; None for any number.
        quiet_hours: The default of the triggers.
        approval: Whether a person has to approve a version before it is rolled out.
        tell: What is told of a cycle by the ways in `alerts`.
    """

    model: str
    pipeline: str
    action: str = RUN
    parameters: dict[str, Any] = field(default_factory=dict)
    tables: str = ""
    window: str = "7d"
    time_zone: str = "UTC"
    cool_down: str = "1h"
    budget_per_day: int | None = None
    quiet_hours: list[str] = field(default_factory=list)
    approval: bool = False
    tell: list[str] = field(default_factory=lambda: list(ENDS))


@dataclass(frozen=True)
class Settings(Plain):
    """All settings of a loop.

    Attributes:
        triggers: What starts a cycle.
        kubeflow: Where pipelines are submitted.
        alerts: Where it is told, as in the monitor's settings.
        delivery: How a version is rolled out; None to leave it where the pipeline pushed it.
        given: The settings as they were written.
    """

    triggers: tuple[TriggerSettings, ...] = ()
    kubeflow: Kubeflow | None = None
    alerts: Alerts = field(default_factory=Alerts)
    delivery: Mapping[str, Any] | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def destination(self) -> str:
        """Where the pipeline pushes versions; empty if the settings do not say."""
        return str((self.delivery or {}).get("destination") or self.parameters.get("destination") or "")


def load(file: Path) -> Settings:
    """Reads a settings file.

    Raises:
        UserError: The file cannot be read, or a setting is unknown, missing or wrong.
    """
    return parsed(yaml_files.read(file, _FIX), str(file))


def parsed(given: Any, where: str = "loop.yaml") -> Settings:
    """The settings in a map; raises UserError as `load`."""
    found = named(given, Settings, where)
    if "given" in found:
        raise UserError(f"{where} has no setting 'given'", fix="remove it")
    sections = {name: found.pop(name, None) for name in ("triggers", "kubeflow", "alerts", "delivery")}
    plain = typed(found, Plain, where)
    _check(plain, sections["delivery"] is not None, where)
    limits = Limits(plain.cool_down, None, plain.quiet_hours)
    return Settings(
        **vars(plain),
        triggers=all_parsed(sections["triggers"], limits, f"{where}: triggers"),
        kubeflow=_kubeflow(sections["kubeflow"], plain.action, where),
        alerts=alerts.parsed(sections["alerts"], f"{where}: alerts"),
        delivery=_delivery(sections["delivery"], where),
        given=json.loads(json.dumps(given, default=str)),
    )


def _check(plain: Plain, has_delivery: bool, where: str) -> None:
    require_choice(plain.action, (RUN, SUBMIT), f"{where}.action")
    if plain.approval and not has_delivery:
        raise UserError(
            f"{where} asks for approval without delivery: servers would load a version before anyone says yes",
            fix="add delivery: ..., or remove approval",
        )
    for each in plain.tell:
        require_choice(each, ENDS, f"{where}.tell")
    duration(plain.window, f"{where}.window")
    checked_zone(plain.time_zone, f"{where}.time_zone")
    Limits(plain.cool_down, plain.budget_per_day, plain.quiet_hours).check(where)
    for name, value in plain.parameters.items():
        if isinstance(value, str) and value.startswith(FACT) and value.removeprefix(FACT) not in FACTS:
            raise UserError(
                f"{where}.parameters.{name} is {value!r}, which no trigger has",
                fix=f"use one of {', '.join(FACT + each for each in FACTS)}",
            )


def _kubeflow(given: Any, action: str, where: str) -> Kubeflow | None:
    if given is None:
        if action == SUBMIT:
            raise UserError(f"{where} submits pipelines, but says not where to", fix="add kubeflow: {host: URL}")
        return None
    return typed(named(given, Kubeflow, f"{where}: kubeflow"), Kubeflow, f"{where}: kubeflow")


def _delivery(given: Any, where: str) -> Mapping[str, Any] | None:
    """The section as it is written, which is what a rollout keeps."""
    if given is not None:
        delivery.parsed(given, f"{where}: delivery")
    return given  # type: ignore[no-any-return]
