"""What can be done with a run: run it again with changed parameters, and cancel it."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from components.contract.errors import UserError
from components.reports.markup import Content, tag
from components.reports.page import Section
from components.reports.parts import notice, paragraph, stack
from taxiway.reports import changes
from taxiway.reports.run import RecordedRun
from taxiway.reports.values import indented
from taxiway.runs import cancel
from taxiway.ui import forms
from taxiway.ui.runs import starting
from taxiway.ui.views import Asked, Site, View, address

_PREFIX = "parameter."
_LONG = 60


def show(site: Site, asked: Asked) -> View:
    """The form with the parameters of a run."""
    recorded = site.read(asked.path["run"])
    run_id = recorded.run.id
    return View(
        f"Run {recorded.run.pipeline} again",
        lambda: [_section(recorded, asked)],
        lambda: {"run": run_id, "pipeline": recorded.run.pipeline, "parameters": recorded.parameters},
        subtitle=f"The pipeline as it was compiled for {run_id}; change what should be different.",
        crumbs=[("Runs", "/runs"), (run_id, address("runs", run_id))],
    )


def _section(recorded: RecordedRun, asked: Asked) -> Section:
    if not (recorded.run.folder / "pipeline.yaml").is_file():
        return Section("again", "", notice("The compiled pipeline is gone: start the run in a terminal.", "warn"))
    form = forms.doing(address("runs", recorded.run.id, "again"), asked, *_fields(recorded), label="Parameters")
    told = "The run goes on when this server ends. Outputs of earlier runs are used where nothing has changed."
    return Section("again", "", stack(form, paragraph(told, quiet=True)))


def _fields(recorded: RecordedRun) -> Iterator[Content]:
    if not recorded.parameters:
        yield paragraph("The pipeline has no parameters.", quiet=True)
    for name, value in recorded.parameters.items():
        yield _field(name, "" if value is None else changes.text(value))
    unused = tag("input", type="checkbox", name_="no_cache", value="1")
    yield tag("label", unused, " Run every task, even if its outputs exist", class_="check")
    yield forms.button("Run", kind="primary")


def _field(name: str, value: str) -> Markup:
    if len(value) <= _LONG and "\n" not in value:
        return forms.field(_PREFIX + name, name, value)
    shown = indented(value)
    rows = str(min(12, shown.count("\n") + 1))
    # A browser drops the first line break in the element.
    area = tag("textarea", f"\n{shown}", name_=_PREFIX + name, rows=rows, spellcheck="false")
    return tag("label", tag("span", name), area, class_="field long")


def start(site: Site, asked: Asked) -> str:
    """Starts the run, and returns the address of its page."""
    _require_own(site)
    recorded = site.read(asked.path["run"])
    given = {name.removeprefix(_PREFIX): value for name, value in asked.form.items() if name.startswith(_PREFIX)}
    unknown = given.keys() - recorded.parameters.keys()
    if unknown:
        raise UserError(f"the run has no parameter {min(unknown)!r}", fix="send the form of its page")
    # No text says "no value": a parameter that had none, and still has none, is left out.
    given = {name: value for name, value in given.items() if value or recorded.parameters[name] is not None}
    pipeline = recorded.run.folder / "pipeline.yaml"
    run_id = starting.start(
        pipeline,
        {k: v.replace("\r\n", "\n") for k, v in given.items()},
        site.home,
        use_cache="no_cache" not in asked.form,
    )
    return address("runs", run_id)


def stop(site: Site, asked: Asked) -> str:
    """Cancels the run, and returns the address of its page."""
    _require_own(site)
    run_id = site.read(asked.path["run"]).run.id
    cancel.request(run_id, site.home)
    return address("runs", run_id)


def _require_own(site: Site) -> None:
    if site.is_copy:
        raise UserError(
            "the runs here are Kubeflow's, and can only be looked at",
            fix="start and stop runs on Kubeflow itself, or submit again",
        )
