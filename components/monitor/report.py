"""What reports show of a pass of the monitor: the model's monitoring, as in `taxiway monitor report`."""

import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from components.contract.artifacts import Artifact, ModelMonitoring
from components.monitor.output import TABLES
from components.monitoring.store import Store
from components.reports.artifacts import Sections, alone
from components.reports.figures import number
from components.reports.monitoring.report import range_of, sections
from components.reports.monitoring.scope import Scope
from components.reports.monitoring.watched import Watched
from components.reports.page import Section
from components.reports.parts import heading, paragraph, stack, tiles

_FIGURES = {
    "windows": "Windows computed",
    "rows": "Rows in them",
    "signals": "Signals",
    "alarms": "Open alarms",
    "suspected": "Suspected alarms",
}


def _pass(monitoring: Artifact) -> Section:
    found = [(label, number(int(monitoring.metadata[name])), "") for name, label in _FIGURES.items()]
    return Section("pass", "This pass", tiles(found), f"Model {monitoring.metadata['model_name']}.")


def _watched(monitoring: Artifact) -> Section:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        for file in sorted((monitoring.path / TABLES).glob("*.parquet")):
            store.append(file.stem, pq.read_table(Path(file)))
        watched = Watched.of(store, str(monitoring.metadata["model_name"]), Scope())
        parts = [(heading(each.title), paragraph(each.summary), each.body) for each in sections(watched)]
        return Section("monitoring", "Monitoring", stack(*(part for each in parts for part in each)), range_of(watched))


SECTIONS: Sections = [(ModelMonitoring, alone(_pass)), (ModelMonitoring, alone(_watched))]
