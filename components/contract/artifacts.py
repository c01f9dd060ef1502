"""The artifacts that stages pass on: TFX's types and layouts, as plain paths with metadata.

A stage declares them in its signature, `examples: Input[Examples]`, and receives an `Artifact`.
The layouts are those of tfx 1.21 (`tfx/types/standard_artifacts.py`), so that TFX's tools read them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

TFX_VERSION = "1.21.0"
"""Written as `tfx_version` on every artifact: without it TFX reads an older layout."""

SUMMARY = "summary"
"""In an artifact's metadata: what the summary of a run says of it, JSON pairs of a label and a text."""

NEXT_STEP = "next_step"
"""In an artifact's metadata: the arguments of the command that a user may type next, as JSON."""

ELSEWHERE = "elsewhere"
"""In an artifact's metadata: where a stage left something outside of its artifacts, as JSON."""

# Metadata ride on command lines, which Linux bounds.
_MOST_NOTES = 20
_NOTE_CHARACTERS = 500


@dataclass
class Artifact:
    """A folder (or file) with metadata.

    Attributes:
        path: Where it lies on this machine.
        metadata: JSON values; TFX's properties under TFX's names.
        uri: Where the orchestrator keeps it; the path itself on one machine.
    """

    path: Path
    metadata: dict[str, Any] = field(default_factory=dict)
    uri: str = ""
    # Kubeflow accepts artifact types of its own namespace only; ours is the class's name beside it.
    schema_title: ClassVar[str] = "system.Artifact"
    # Whether a `provenance.json` may lie in the folder.
    takes_files: ClassVar[bool] = True
    # Metadata that say where something lies, and not what the artifact is.
    locations: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        self.path = Path(self.path)
        self.uri = self.uri or str(self.path)

    def note(self, text: str) -> None:
        """Says something that is to be known of the artifact: in its metadata, from where a run's summary shows it."""
        notes = [*self.notes, text.replace("\n", " ")[:_NOTE_CHARACTERS]]
        if len(notes) > _MOST_NOTES:
            notes = [*notes[: _MOST_NOTES - 1], "there is more of this kind; the log has all of it"]
        self.metadata["notes"] = "\n".join(notes)

    @property
    def notes(self) -> list[str]:
        """What there is to know, a line each."""
        return [line for line in str(self.metadata.get("notes", "")).split("\n") if line]

    def summarize(self, label: str, text: str) -> None:
        """Adds a line to the summary of a run; a text that is an absolute path is shown from the working folder."""
        self.metadata[SUMMARY] = json.dumps([*self.summary, (label, text)])

    @property
    def summary(self) -> list[tuple[str, str]]:
        """What the summary of a run says of the artifact: labels and texts."""
        return [(label, text) for label, text in json.loads(self.metadata.get(SUMMARY, "[]"))]

    def propose(self, *words: str) -> None:
        """Says what a user may type next: the arguments of `taxiway`."""
        self.metadata[NEXT_STEP] = json.dumps(words)

    @property
    def next_step(self) -> list[str]:
        """What a user may type next; empty where there is nothing to propose."""
        return list(json.loads(self.metadata.get(NEXT_STEP, "[]")))

    def left_elsewhere(self, places: list[str], digest: str = "") -> None:
        """Says what a stage left outside of its artifacts: when it is gone, the stage runs again.

        Args:
            places: Paths or URLs; it lies at one of them.
            digest: Of the content, as `tree_digest` has it, where that can be read on this machine.
        """
        self.metadata[ELSEWHERE] = json.dumps({"places": places, "digest": digest})

    @property
    def type_name(self) -> str:
        """TFX's name of the type."""
        return type(self).__name__


class Examples(Artifact):
    """`Split-<name>/data_parquet-*.parquet` or `Split-<name>/data_tfrecord-*.gz`; or a server's request logs."""

    schema_title = "system.Dataset"


class ExampleStatistics(Artifact):
    """`Split-<name>/FeatureStats.pb`, a DatasetFeatureStatisticsList."""


class Schema(Artifact):
    """`schema.pbtxt`, and nothing beside it: TFX opens the only file of the folder."""

    takes_files = False


class ExampleAnomalies(Artifact):
    """`Split-<name>/SchemaDiff.pb`; metadata `blessed`: 1 or 0 by split."""


class TransformGraph(Artifact):
    """`transform_fn/`, `transformed_metadata/`, `metadata/` and statistics before and after."""


class Model(Artifact):
    """`Format-Serving/`, a SavedModel; `Format-TFMA/` where the trainer wrote one."""

    schema_title = "system.Model"


class ModelRun(Artifact):
    """What training logged: TensorBoard event files."""


class HyperParameters(Artifact):
    """`best_hyperparameters.txt`, JSON, and nothing beside it, as for a schema."""

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
    """TFMA's `eval_config.json`, `metrics-*.tfrecord`, `plots-*`, `validations.tfrecord`."""


class ModelBlessing(Artifact):
    """An empty file, `BLESSED` or `NOT_BLESSED`."""

    locations = frozenset({"current_model", "baseline_model"})


class InfraBlessing(Artifact):
    """`INFRA_BLESSED` or `INFRA_NOT_BLESSED`, `report.json`; `stamped_model/`, the model with warm-up requests."""


class PushedModel(Artifact):
    """What was pushed and where: metadata `pushed`, `pushed_destination`, `pushed_version`."""

    schema_title = "system.Model"


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
        ModelBlessing,
        InfraBlessing,
        PushedModel,
    )
}

_Kind = TypeVar("_Kind", bound=Artifact)
Input = Annotated[_Kind, "input"]
"""Marks a parameter of a stage that receives an artifact."""
Output = Annotated[_Kind, "output"]
"""Marks a parameter of a stage that names an artifact to write; its parent folder exists, it does not."""


@dataclass(frozen=True)
class Role:
    """What a parameter is, so that runners and checks can look at it without knowing the stage.

    It stands before the parameter's description in the compiled pipeline, `[Module: run_fn] ...`, and means the same in
    any component. `taxiway.checks.roles` says what runners and checks do with each:

    - `Data`: files, or a path that DVC tracks; beside it `Repository`, the Git repository that it lies in,
      `Unversioned`, whether data without a version are taken, and `Delimiter`, between the cells of CSV.
    - `File`: one file. `Destination`: where a stage writes outside its artifacts.
    - `Module`: Python source; the detail is the function that it has to define.
    - `Operations`: see `components.user_code.custom_ops`. `EvalConfig`: see `components.user_code.eval_configs`.
    - `NewSplits`: settings by the name of the split that they make; of several that which is set counts.
    - `Splits`: names of splits; the detail is the input artifact that has them.

    Attributes:
        name: One of these, or a stage's own.
        detail: See there.
        check: Of a stage's own role: looks at a value, and raises UserError where it is wrong.
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
    """The names of an artifact's splits: its `split_names`, else its `Split-*` folders, sorted."""
    declared = artifact.metadata.get("split_names")
    if declared:
        return list(json.loads(declared)) if isinstance(declared, str) else list(declared)
    return sorted(folder.name.removeprefix("Split-") for folder in artifact.path.glob("Split-*"))


def split_path(artifact: Artifact, split: str) -> Path:
    """The folder of one split."""
    return artifact.path / f"Split-{split}"
