"""The artifacts that stages exchange: TFX's types and layouts, as plain paths with metadata.

A stage declares them in its signature (`examples: Input[Examples]`) and receives an `Artifact`.
The layouts are those of tfx 1.21 (`tfx/types/standard_artifacts.py`), so TFX's tools can read them.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

TFX_VERSION = "1.21.0"
"""Written as `tfx_version` on every artifact: without it, TFX assumes an older layout."""

SUMMARY = "summary"
"""In an artifact's metadata: what a run's summary says about it, JSON pairs of a label and a text."""

NEXT_STEP = "next_step"
"""In an artifact's metadata: the arguments of the command that a user may type next, as JSON."""

ELSEWHERE = "elsewhere"
"""In an artifact's metadata: where a stage left something outside of its artifacts, as JSON."""

REUSED = "reused_by_stage_cache"
"""In an artifact's metadata: that a fused pod did not make it, but found it; the time when it was made."""

SLICES_FILE = "slices.json"
"""In a ModelEvaluation: the candidate's metrics by slice, as JSON."""

# Metadata is passed on command lines, whose length Linux limits.
_MOST_NOTES = 20
_NOTE_CHARACTERS = 500


@dataclass
class Artifact:
    """A folder (or file) with metadata.

    Attributes:
        path: Its path on this machine.
        metadata: JSON values; TFX's properties have TFX's names.
        uri: Where the orchestrator keeps it; on a single machine, the path itself.
    """

    path: Path
    metadata: dict[str, Any] = field(default_factory=dict)
    uri: str = ""
    # Kubeflow only accepts artifact types from its own namespace; our type is the class name.
    schema_title: ClassVar[str] = "system.Artifact"
    # Whether the folder may contain a `provenance.json`.
    takes_files: ClassVar[bool] = True
    # Whether the chains of other artifacts have its record.
    is_chained: ClassVar[bool] = True
    # Metadata with locations, which are not part of the artifact's content.
    locations: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        self.path = Path(self.path)
        self.uri = self.uri or str(self.path)

    def note(self, text: str) -> None:
        """Adds a note to the artifact's metadata; a run's summary shows it."""
        notes = [*self.notes, text.replace("\n", " ")[:_NOTE_CHARACTERS]]
        if len(notes) > _MOST_NOTES:
            notes = [*notes[: _MOST_NOTES - 1], "more notes were left out; the log has all of them"]
        self.metadata["notes"] = "\n".join(notes)

    @property
    def notes(self) -> list[str]:
        """The notes, one per line."""
        return [line for line in str(self.metadata.get("notes", "")).split("\n") if line]

    def summarize(self, label: str, text: str) -> None:
        """Adds a line to the summary of a run; an absolute path is shown relative to the working folder."""
        self.metadata[SUMMARY] = json.dumps([*self.summary, (label, text)])

    @property
    def summary(self) -> list[tuple[str, str]]:
        """The artifact's lines in the summary of a run, as labels and texts."""
        return [(label, text) for label, text in json.loads(self.metadata.get(SUMMARY, "[]"))]

    def propose(self, *words: str) -> None:
        """Suggests the user's next command, by the arguments of `taxiway`."""
        self.metadata[NEXT_STEP] = json.dumps(words)

    @property
    def next_step(self) -> list[str]:
        """The suggested next command; empty if there is none."""
        return list(json.loads(self.metadata.get(NEXT_STEP, "[]")))

    def left_elsewhere(self, places: list[str], digest: str = "") -> None:
        """Records what a stage wrote outside of its artifacts; if that is gone, the stage runs again.

        Args:
            places: Paths or URLs; one of them has it.
            digest: The content's `tree_digest`, if it can be read on this machine.
        """
        self.metadata[ELSEWHERE] = json.dumps({"places": places, "digest": digest})

    def _repr_html_(self) -> str:
        # By name: only a notebook asks for it, and the contract imports nothing but the standard library.
        return importlib.import_module("components.reports.notebooks.piece").of_artifact(self)  # type: ignore[no-any-return]

    @property
    def type_name(self) -> str:
        """TFX's name for the type."""
        return type(self).__name__


class Examples(Artifact):
    """`Split-<name>/data_parquet-*.parquet` or `Split-<name>/data_tfrecord-*.gz`; or a server's request logs."""

    schema_title = "system.Dataset"


class ExampleStatistics(Artifact):
    """`Split-<name>/FeatureStats.pb`, a DatasetFeatureStatisticsList."""


class Schema(Artifact):
    """`schema.pbtxt` and nothing else: TFX opens the only file in the folder."""

    takes_files = False


class ExampleAnomalies(Artifact):
    """`Split-<name>/SchemaDiff.pb`; metadata `blessed`: 1 or 0 for each split."""


class TransformGraph(Artifact):
    """`transform_fn/`, `transformed_metadata/`, `metadata/`, and statistics before and after the transformation."""


class Model(Artifact):
    """`Format-Serving/`, a SavedModel; and `Format-TFMA/` if the trainer wrote one."""

    schema_title = "system.Model"


class ModelRun(Artifact):
    """What training logged: TensorBoard event files."""


class HyperParameters(Artifact):
    """`best_hyperparameters.txt` (JSON) and nothing else, as for a schema."""

    takes_files = False


class Metrics(Artifact):
    """Kubeflow's own type: the numbers in its metadata are metrics of the run."""

    schema_title = "system.Metrics"

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics by name."""
        return {
            name: float(value)
            for name, value in self.metadata.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }


class ModelEvaluation(Metrics):
    """TFMA's `eval_config.json`, `metrics-*.tfrecord`, `plots-*`, `validations.tfrecord`; `slices.json`."""


class ModelComparison(Metrics):
    """`comparison.json`: the metrics of a challenger and of the champion on the same rows, and the verdict."""


class ModelMonitoring(Metrics):
    """`windows.json` and `alarms.json`, what a pass of the monitor found; `tables/`, the latest windows as Parquet."""

    locations = frozenset({"tables"})


class ModelBlessing(Artifact):
    """A file, `BLESSED` or `NOT_BLESSED`: empty, or with the reason."""

    locations = frozenset({"current_model", "baseline_model"})


class InfraBlessing(Artifact):
    """`INFRA_BLESSED` or `INFRA_NOT_BLESSED`, `report.json`, and `stamped_model/`, the model with warm-up requests."""


class PushedModel(Artifact):
    """What was pushed, and where to: metadata `pushed`, `pushed_destination`, `pushed_version`."""

    schema_title = "system.Model"


class Report(Artifact):
    """A page of HTML, one file: what the other outputs of the task hold, to look at."""

    schema_title = "system.HTML"
    takes_files = False
    # It shows what others hold, and measurements that differ each time: no chain and no rebuild compares it.
    is_chained = False


TYPES: dict[str, type[Artifact]] = {
    kind.__name__: kind
    for kind in (
        Examples,
        ExampleStatistics,
        Schema,
        ExampleAnomalies,
        TransformGraph,
        Model,
        ModelRun,
        HyperParameters,
        ModelEvaluation,
        ModelComparison,
        ModelBlessing,
        InfraBlessing,
        PushedModel,
        ModelMonitoring,
        Report,
    )
}

_Kind = TypeVar("_Kind", bound=Artifact)
Input = Annotated[_Kind, "input"]
"""Marks a stage's parameter as an input artifact."""
Output = Annotated[_Kind, "output"]
"""Marks a stage's parameter as an artifact to write. Its parent folder exists; the artifact does not yet."""


@dataclass(frozen=True)
class Role:
    """What a parameter refers to, so that runners and checks can inspect it without knowing the stage.

    It precedes the parameter's description in the compiled pipeline, `[Module: run_fn] ...`, and means the same in any
    component. `taxiway.checks.roles` says what runners and checks do with each:

    - `Data`: files, or a path tracked by DVC; with it `Repository`, the Git repository that contains it, `Unversioned`,
      whether data without a version is accepted, and `Delimiter`, the character between the cells of a CSV line.
    - `File`: one file. `Destination`: where a stage writes outside of its artifacts.
    - `Tables`: the folder or URL with the tables of served models; with it `TablesModel`, the model's name.
    - `Module`: Python source; the detail is the function that it must define.
    - `Operations`: see `components.user_code.custom_ops`. `EvalConfig`: see `components.user_code.eval_configs`.
    - `NewSplits`: settings by the name of the split that they create; of several, the one that is set counts.
    - `Splits`: names of splits; the detail is the input artifact that has them.

    Attributes:
        name: One of these, or a stage's own.
        detail: See above.
        check: For a stage's own role: inspects a value, and raises UserError if it is wrong.
    """

    name: str
    detail: str = ""
    check: Callable[[Any], object] | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}" if self.detail else self.name


DataPath = Annotated[str, Role("Data")]
DataRepository = Annotated[str, Role("Repository")]
AllowUnversioned = Annotated[bool, Role("Unversioned")]
Delimiter = Annotated[str, Role("Delimiter")]
FilePath = Annotated[str, Role("File")]
Destination = Annotated[str, Role("Destination")]
EvalSettings = Annotated[dict, Role("EvalConfig")]
CustomOps = Annotated[list, Role("Operations")]
PreprocessingModule = Annotated[str, Role("Module", "preprocessing_fn")]
TrainerModule = Annotated[str, Role("Module", "run_fn")]
NewSplits = Annotated[dict, Role("NewSplits")]
ExamplesSplits = Annotated[list, Role("Splits", "examples")]
StatisticsSplits = Annotated[list, Role("Splits", "statistics")]


def split_names(artifact: Artifact) -> list[str]:
    """The names of an artifact's splits: its `split_names`, or else its `Split-*` folders, sorted."""
    declared = artifact.metadata.get("split_names")
    if declared:
        return list(json.loads(declared)) if isinstance(declared, str) else list(declared)
    return sorted(folder.name.removeprefix("Split-") for folder in artifact.path.glob("Split-*"))


def split_path(artifact: Artifact, split: str) -> Path:
    """The folder of one split."""
    return artifact.path / f"Split-{split}"
