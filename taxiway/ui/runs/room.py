"""The room of runs: its place in the navigation, and its routes."""

from __future__ import annotations

from taxiway.ui.runs import again, artifact_files, artifacts, listing, log_page, run_page
from taxiway.ui.views import Action, Data, Page, Raw, Room

_RUN = "/runs/{run}"
_ARTIFACT = "{task}/{output}"

ROOM = Room(
    "Runs",
    "/runs",
    (
        Data("/runs/state", listing.state),
        Page("/runs", listing.show),
        Data(f"{_RUN}/state", run_page.state),
        Page(_RUN, run_page.show),
        Raw(f"{_RUN}/report.html", run_page.report),
        Data(f"{_RUN}/logs/{{task}}/state", log_page.state),
        Raw(f"{_RUN}/logs/{{task}}/whole", log_page.whole),
        Page(f"{_RUN}/logs/{{task}}", log_page.show),
        Page(f"{_RUN}/artifacts/{_ARTIFACT}", artifacts.show),
        Raw(f"{_RUN}/files/{_ARTIFACT}", artifact_files.send),
        Raw(f"{_RUN}/files/{_ARTIFACT}/{{path:.+}}", artifact_files.send),
        Page(f"{_RUN}/again", again.show),
        Action(f"{_RUN}/again", again.start),
        Action(f"{_RUN}/cancel", again.stop),
    ),
)
