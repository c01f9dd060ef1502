"""What a version was trained on, by the records of its lineage, and where the data are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.contract.artifacts import Examples
from components.contract.errors import ServiceError, UserError
from components.execution.pushed_models import Version, open_destination
from taxiway.lineage.stored import StoredArtifact
from taxiway.monitoring import origins
from tests.object_store import ObjectStore

DIGEST = "sha256:" + "a" * 64


def stored(uri: str) -> StoredArtifact:
    return StoredArtifact(1, "Examples", uri, {"digest": DIGEST, "split_names": '["train"]'})


def test_artifacts_in_an_object_store_are_copied_once(aws: Any, tmp_path: Path) -> None:
    bucket = aws.create_bucket(Bucket="pipelines")
    bucket.put_object(Key="root/examples/Split-train/data-00000.parquet", Body=b"rows")
    for uri in ("s3://pipelines/root/examples", "minio://pipelines/root/examples"):
        found = origins._located(Examples, {"digest": DIGEST}, [stored(uri)], tmp_path / uri[:2])
        assert (found.path / "Split-train/data-00000.parquet").read_bytes() == b"rows"
        assert found.uri == uri
    bucket.objects.all().delete()
    again = origins._located(Examples, {"digest": DIGEST}, [stored("s3://pipelines/root/examples")], tmp_path / "s3")
    assert (again.path / "Split-train/data-00000.parquet").exists()


def test_a_copy_that_fails_leaves_nothing_and_says_what_is_missing(aws: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be fetched") as raised:
        origins._located(Examples, {"digest": DIGEST}, [stored("s3://nothing-here/examples")], tmp_path)
    assert "AWS_ENDPOINT_URL" in raised.value.fix
    assert not [each for each in tmp_path.rglob("*") if each.is_file()]


def test_a_store_that_is_away_is_tried_again_and_not_a_version_without_data(
    object_store: ObjectStore, tmp_path: Path
) -> None:
    object_store.stop()
    with pytest.raises(ServiceError, match="cannot be fetched"):
        origins._located(Examples, {"digest": DIGEST}, [stored("s3://pipelines/examples")], tmp_path)


def test_a_model_whose_copy_was_cut_off_is_copied_again(aws: Any, tmp_path: Path) -> None:
    bucket = aws.create_bucket(Bucket="models")
    for name in ("saved_model.pb", "variables/variables.index"):
        bucket.put_object(Key=f"taxi/1/{name}", Body=b"content")
    pushed = Version(open_destination("s3://models/taxi"), "1")
    # The copy fails here, after one file: a file cannot be a folder.
    bucket.put_object(Key="taxi/1/saved_model.pb/inner", Body=b"in the way")
    with pytest.raises(OSError, match=r"saved_model\.pb"):
        origins._model_folder(pushed, tmp_path)
    assert not any(tmp_path.iterdir())
    bucket.Object("taxi/1/saved_model.pb/inner").delete()
    pushed.destination.file_system.invalidate_cache()
    found = origins._model_folder(pushed, tmp_path)
    assert found == tmp_path / "taxi-1"
    assert (found / "variables/variables.index").read_bytes() == b"content"


def record(digest: str, kind: str, output: str, **more: Any) -> dict[str, Any]:
    return {"digest": digest, "type": kind, "output": output, "inputs": {}, "parameters": {}, "data": None, **more}


MODEL = record("m", "Model", "model", inputs={"examples": "x"})
TRANSFORMED = record("x", "Examples", "transformed_examples", inputs={"examples": "e"})
FIRST = record("e", "Examples", "examples", data={"path": "data/trips"})


def test_the_examples_as_they_came_in_are_found() -> None:
    for found in (FIRST, {**FIRST, "data": None}):
        assert origins._raw([MODEL, TRANSFORMED, found]) == found
    assert origins._raw([MODEL]) is None


def test_examples_of_requests_that_were_added_to_a_history_are_what_the_model_was_trained_on() -> None:
    added = record("e", "Examples", "examples", inputs={"history": "h", "schema": "s"}, data={"path": "tables/taxi"})
    history = record("h", "Examples", "examples", data={"path": "data/trips"})
    for records in ([MODEL, TRANSFORMED, added, history], [MODEL, history, added, TRANSFORMED]):
        assert origins._raw(records) == added


def test_the_evaluation_goes_before_other_stages_with_an_eval_config() -> None:
    judged = record("b", "ModelBlessing", "blessing", parameters={"eval_config": {"a": 1}})
    evaluated = record("v", "ModelEvaluation", "evaluation", parameters={"eval_config": {"b": 1}})
    assert origins._evaluation([MODEL, judged, evaluated]) == evaluated
    assert origins._evaluation([MODEL, judged]) == judged
    assert origins._evaluation([MODEL]) is None
