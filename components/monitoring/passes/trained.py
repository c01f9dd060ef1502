"""What a version of a model was trained on, as its provenance tells: all that a window is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.contract.artifacts import Artifact


@dataclass(frozen=True)
class Trained:
    """A version of a model.

    Attributes:
        version: Its number.
        digest: The digest of its training data.
        examples: Its training data.
        split: The split of them that it was trained on.
        model: The folder with its SavedModel.
        model_digest: The digest of that.
        schema: The schema as text; empty if there is none.
        eval_config: The pipeline's EvalConfig as JSON; empty if it has none.
        eval_split: The split that it was evaluated on; empty if it was not.
        expected: The metrics of that evaluation, by slice.
    """

    version: int
    digest: str
    examples: Artifact
    split: str
    model: Path | None = None
    model_digest: str = ""
    schema: str = ""
    eval_config: Mapping[str, Any] = field(default_factory=dict)
    eval_split: str = ""
    expected: Sequence[Mapping[str, Any]] = ()

    @property
    def labels(self) -> set[str]:
        """The columns with labels and weights, which no request has."""
        specs = self.eval_config.get("model_specs") or self.eval_config.get("modelSpecs") or []
        names = set[str]()
        for spec in specs:
            for key in ("label_key", "labelKey", "example_weight_key", "exampleWeightKey"):
                names |= {spec[key]} if spec.get(key) else set()
            for key in ("label_keys", "labelKeys", "example_weight_keys", "exampleWeightKeys"):
                names |= set((spec.get(key) or {}).values())
        return names

    @property
    def categories(self) -> set[str]:
        """The integer columns whose values are names, by the schema."""
        if not self.schema:
            return set()
        from google.protobuf import text_format
        from tensorflow_metadata.proto.v0 import schema_pb2

        schema = text_format.Parse(self.schema, schema_pb2.Schema(), allow_unknown_field=True)
        return {each.name for each in schema.feature if each.int_domain.is_categorical}
