"""TFX's own code reads what Taxiway records."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ml_metadata.proto import metadata_store_pb2 as pb

from components.contract.artifacts import TYPES
from taxiway.lineage.messages import artifact_type

OURS = {"ModelComparison", "ModelMonitoring", "Report"}
"""Types that TFX does not have."""


@pytest.fixture(scope="module")
def tfx() -> SimpleNamespace:
    from tfx.components.util import examples_utils
    from tfx.orchestration import metadata
    from tfx.orchestration.portable.mlmd import execution_lib
    from tfx.types import artifact_utils, standard_artifacts

    return SimpleNamespace(
        examples_utils=examples_utils,
        metadata=metadata,
        execution_lib=execution_lib,
        artifact_utils=artifact_utils,
        standard_artifacts=standard_artifacts,
    )


def test_the_artifact_types_are_those_of_tfx(tfx):
    names = sorted(TYPES.keys() - OURS)
    theirs = [getattr(tfx.standard_artifacts, name)().artifact_type for name in names]
    assert [artifact_type(name) for name in names] == theirs


def test_tfx_reads_executions_with_their_artifacts(tfx, store, database, flow):
    flow.record(store, "r1")
    with tfx.metadata.Metadata(tfx.metadata.sqlite_metadata_connection_config(str(database))) as handle:
        [run] = handle.store.get_contexts_by_type("pipeline_run")
        executions = {e.name: e for e in handle.store.get_executions_by_context(run.id)}
        assert all(map(tfx.execution_lib.is_execution_successful, executions.values()))
        [examples] = tfx.execution_lib.get_output_artifacts(handle, executions["r1/example_gen"].id)["examples"]
        inputs = tfx.execution_lib.get_input_artifacts(handle, executions["r1/pusher"].id)
    assert isinstance(examples, tfx.standard_artifacts.Examples)
    assert (examples.span, examples.version, examples.splits) == (3, 1, ["train", "eval"])
    assert examples.state == "published"
    assert examples.name == "examples"
    assert tfx.examples_utils.get_payload_format_string(examples) == "FORMAT_PARQUET"
    assert tfx.artifact_utils.get_split_uris([examples], "eval") == [f"{flow.artifact('examples').path}/Split-eval"]
    [model] = inputs["model"]
    assert model.uri == flow.artifact("model").uri
    [blessing] = inputs["blessing"]
    assert blessing.get_int_custom_property("blessed") == 1


def test_tfx_may_declare_its_types_in_the_same_store(tfx, store, database, flow):
    flow.record(store, "r1")
    with tfx.metadata.Metadata(tfx.metadata.sqlite_metadata_connection_config(str(database))) as handle:
        for name in TYPES.keys() - OURS:
            declared: pb.ArtifactType = getattr(tfx.standard_artifacts, name)().artifact_type
            handle.store.put_artifact_type(declared)
