"""The artifacts that stages exchange: TFX's types and layouts, as plain paths with metadata.

A stage declares them in its signature (`examples: Input[Examples]`) and receives an `Artifact`.
The layouts are those of tfx 1.21 (`tfx/types/standard_artifacts.py`), so TFX's tools can read them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

TFX_VERSION = "1.21.0"
"""Written as `tfx_version` on every artifact: without it, TFX assumes an older layout."""

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


class ModelEvaluation(Artifact):
    """TFMA's `eval_config.json`, `metrics-*.tfrecord`, `plots-*`, `validations.tfrecord`."""

    schema_title = "system.Metrics"


class ModelBlessing(Artifact):
    """An empty file, `BLESSED` or `NOT_BLESSED`."""


class InfraBlessing(Artifact):
    """`INFRA_BLESSED` or `INFRA_NOT_BLESSED`, `report.json`, and `stamped_model/`, the model with warm-up requests."""


class PushedModel(Artifact):
    """What was pushed, and where to: metadata `pushed`, `pushed_destination`, `pushed_version`."""

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
"""Marks a stage's parameter as an input artifact."""
Output = Annotated[_Kind, "output"]
"""Marks a stage's parameter as an artifact to write. Its parent folder exists; the artifact does not yet."""


@dataclass(frozen=True)
class Role:
    """What a parameter refers to, so that runners and checks can inspect it without knowing the stage.

    Attributes:
        name: `Data` (files or a DVC-tracked path), `File` (one file), `Module` (Python source),
            `Destination` (where a stage writes outside of its artifacts), `Serving` (see infra_validator),
            `Operations` (`components.user_code.custom_ops`) or `EvalConfig` (`components.user_code.eval_configs`).
        function: The function that a module must define.
    """

    name: str
    function: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.function}" if self.function else self.name


DataPath = Annotated[str, Role("Data")]
FilePath = Annotated[str, Role("File")]
Destination = Annotated[str, Role("Destination")]
EvalSettings = Annotated[dict, Role("EvalConfig")]
ServingPlatform = Annotated[dict, Role("Serving")]
CustomOps = Annotated[list, Role("Operations")]
PreprocessingModule = Annotated[str, Role("Module", "preprocessing_fn")]
TrainerModule = Annotated[str, Role("Module", "run_fn")]


def split_names(artifact: Artifact) -> list[str]:
    """The names of an artifact's splits: its `split_names`, or else its `Split-*` folders, sorted."""
    declared = artifact.metadata.get("split_names")
    if declared:
        return list(json.loads(declared)) if isinstance(declared, str) else list(declared)
    return sorted(folder.name.removeprefix("Split-") for folder in artifact.path.glob("Split-*"))


def split_path(artifact: Artifact, split: str) -> Path:
    """The folder of one split."""
    return artifact.path / f"Split-{split}"
