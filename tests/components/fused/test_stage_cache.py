"""The stage cache of fused pods, on disk and in an object store; as on Kubeflow, each run has its own output paths."""

import gc
import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.__main__ import _run_stage
from components.contract.artifacts import REUSED
from components.contract.digests import tree_digest
from components.contract.errors import UserError
from components.execution import executor
from components.fused import keys, report, stage_cache
from components.fused.execution import run
from components.fused.finding import Execute
from components.fused.plan import Member, Source
from components.processes import children, preload
from tests.components.models import make_model

Json = dict[str, Any]
# Three stages that load no library and pass a model on.
MEMBERS = [
    Member(name="push", stage="pusher", artifacts={"model": Source("given")}, cached=True),
    Member(name="fetch", stage="baseline", artifacts={"candidate": Source("other")}, cached=True),
    Member(name="again", stage="pusher", artifacts={"model": Source("model", "fetch")}, cached=True),
]
OUTPUTS = {"push__pushed_model": "system.Model", "fetch__model": "system.Model", "again__pushed_model": "system.Model"}
RUNS = itertools.count(1)

# Other tests may have left threads, which the forked children do not use.
pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")


@pytest.fixture(autouse=True)
def process_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in stage_cache.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in preload.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    yield
    gc.unfreeze()


class Pods:
    """Runs pods, each in its own pipeline run."""

    def __init__(self, folder: Path, root: str, printed: Callable[[], str]) -> None:
        self.folder, self.root, self._printed = folder, root, printed
        self.given, self.other = make_model(folder / "given"), make_model(folder / "other", seed=1)
        self.members = MEMBERS
        self.parameters: Json = {"version": 5}
        self.output: Json = {}

    def run(self, execute: Execute = _run_stage) -> dict[str, str]:
        """Runs a pod and returns its members' states, from its log."""
        document = self.document()
        assert run(self.members, document, execute) == 0
        self.output = json.loads(Path(document["outputs"]["outputFile"]).read_text())
        self.text = self._printed()
        return {each.name: each.state for each in report.read(self.text.splitlines())}

    def document(self) -> Json:
        """The ExecutorInput of a new run."""
        number = next(RUNS)
        place = f"{self.root}/taxi/{number:08x}-0000-0000-0000-000000000000/push-to-again/salt"
        declared = {
            name: {
                "artifacts": [{"name": name, "uri": f"{place}/{name}", "type": {"schemaTitle": kind}, "metadata": {}}]
            }
            for name, kind in OUTPUTS.items()
        }
        inputs = {"given": self.given, "other": self.other}
        out = self.folder / f"out-{number}"
        return {
            "inputs": {
                "parameterValues": {
                    "push__destination": str(self.folder / "first"),
                    "push__version": 3.0,
                    "fetch__destination": str(self.folder / "first"),
                    "again__destination": str(self.folder / "second"),
                    "again__version": self.parameters["version"],
                },
                # Kubeflow gives artifacts different names in each run.
                "artifacts": {
                    name: {"artifacts": [{"name": str(number), "uri": str(model.path), "metadata": model.metadata}]}
                    for name, model in inputs.items()
                },
            },
            "outputs": {
                "parameters": {f"fetch__{name}": {"outputFile": str(out / name)} for name in ("found", "version")},
                "artifacts": declared,
                "outputFile": str(out / "executor_output.json"),
            },
        }

    def digests(self) -> dict[str, str]:
        """The outputs' digests, checked against their files."""
        found = {name: each["artifacts"][0] for name, each in self.output["artifacts"].items()}
        for each in found.values():
            assert tree_digest(executor.local_path(each["uri"])) == each["metadata"]["digest"]
        return {name: each["metadata"]["digest"] for name, each in found.items()}

    def reused(self) -> set[str]:
        """The outputs that are marked as cached."""
        return {name for name, each in self.output["artifacts"].items() if REUSED in each["artifacts"][0]["metadata"]}


ALL_RUN = {"push": "SUCCEEDED", "fetch": "SUCCEEDED", "again": "SUCCEEDED"}
ALL_CACHED = dict.fromkeys(ALL_RUN, "CACHED")


@pytest.fixture
def pods(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Pods:
    return Pods(tmp_path, str(tmp_path / "root"), lambda: capfd.readouterr().out)


@pytest.fixture
def pods_in_s3(aws: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[Pods]:
    """Pods whose launcher keeps outputs at minio://; it mounts them in the root directory."""
    bucket = aws.create_bucket(Bucket="mlpipeline")
    with pytest.MonkeyPatch.context() as patch:
        mounts = {scheme: f"{tmp_path}{mount}" for scheme, mount in executor._MOUNTS.items()}
        patch.setattr(executor, "_MOUNTS", mounts)
        yield Pods(tmp_path, "minio://mlpipeline/v2/artifacts", lambda: capfd.readouterr().out)
    bucket.objects.delete()
    bucket.delete()


def test_a_later_pod_reuses_the_outputs_of_an_earlier_one(pods: Pods) -> None:
    assert pods.run() == ALL_RUN
    first_outputs = pods.output, pods.digests()
    assert pods.reused() == set()
    assert pods.run() == ALL_CACHED
    assert pods.digests() == first_outputs[1]
    assert pods.reused() == OUTPUTS.keys()
    assert (
        pods.output["parameterValues"]
        == first_outputs[0]["parameterValues"]
        == {"fetch__found": True, "fetch__version": "3"}
    )
    # The launcher's parameter files have it, too.
    assert [(each / "found").read_text() for each in pods.folder.glob("out-*")] == ["true", "true"]


def test_only_members_affected_by_a_change_run_again(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    pods.run()
    pods.parameters["version"] = 6
    assert pods.run() == {**ALL_CACHED, "again": "SUCCEEDED"}
    pods.given.metadata["digest"] = "another"
    assert pods.run()["push"] == "SUCCEEDED"
    pods.members = [replace(member, cached=member.name != "fetch") for member in MEMBERS]
    # The member that is never cached makes the same output again, so later ones are cache hits.
    assert pods.run() == {**ALL_CACHED, "fetch": "SUCCEEDED"}
    monkeypatch.setenv(stage_cache.VARIABLE, "")
    assert pods.run() == ALL_RUN


def test_a_member_runs_again_if_its_pushed_version_is_gone(pods: Pods) -> None:
    pods.run()
    (pods.folder / "second/5").rename(pods.folder / "second/5.retired.away")
    assert pods.run() == {**ALL_CACHED, "again": "SUCCEEDED"}
    assert pods.run() == ALL_CACHED


def _entry(root: Path, stage: str) -> Path:
    """The cache entry of a stage."""
    [found] = [entry for entry in root.rglob("entry.json") if f'"stage": "{stage}"' in entry.read_text()]
    return found


def _cut(entry: Path) -> None:
    entry.write_text(entry.read_text()[:-20])


def _change(entry: Path) -> None:
    [model] = entry.parent.rglob("saved_model.pb")
    model.write_bytes(model.read_bytes() + b"x")


def _lose(entry: Path) -> None:
    next(entry.parent.rglob("saved_model.pb")).unlink()


def _mislead(entry: Path) -> None:
    entry.write_text(entry.read_text().replace("saved_model.pb", "../../saved_model.pb"))


@pytest.mark.parametrize("damage", [_cut, _change, _lose, _mislead])
def test_a_damaged_entry_is_a_miss_and_is_replaced(pods: Pods, damage: Callable[[Path], None]) -> None:
    pods.run()
    damage(_entry(pods.folder / "root", "baseline"))
    assert pods.run() == {**ALL_CACHED, "fetch": "SUCCEEDED"}
    pods.digests()
    assert pods.run() == ALL_CACHED


def test_members_that_finished_before_a_failure_are_cache_hits(pods: Pods, capfd: pytest.CaptureFixture[str]) -> None:
    def failing(stage: str, executor_input: Json) -> int:
        return 2 if stage == "baseline" else _run_stage(stage, executor_input)

    assert run(pods.members, pods.document(), failing) == 2
    capfd.readouterr()
    assert pods.run() == {**ALL_RUN, "push": "CACHED"}


def test_members_that_finished_before_a_kill_are_cache_hits(pods: Pods, capfd: pytest.CaptureFixture[str]) -> None:
    def killing(stage: str, executor_input: Json) -> int:
        if stage == "baseline":
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()  # a member ends with its pod
        return _run_stage(stage, executor_input)

    document = pods.document()
    assert children.status(children.fork(lambda: run(pods.members, document, killing))) == -signal.SIGKILL
    capfd.readouterr()
    assert pods.run() == {**ALL_RUN, "push": "CACHED"}


def test_two_concurrent_pods_succeed_and_leave_one_entry(pods: Pods, capfd: pytest.CaptureFixture[str]) -> None:
    documents = [pods.document(), pods.document()]
    pids = [children.fork(lambda each=each: run(pods.members[:1], each, _run_stage)) for each in documents]  # type: ignore[misc]
    assert [children.status(pid) for pid in pids] == [0, 0]
    capfd.readouterr()
    cache = pods.folder / "root/taxi" / stage_cache.FOLDER
    assert len(list(cache.glob("*/entry.json"))) == len([each for each in cache.iterdir() if each.is_dir()]) == 1
    assert pods.run()["push"] == "CACHED"


def test_the_cache_can_be_in_an_object_store(pods_in_s3: Pods, aws: Any) -> None:
    pods = pods_in_s3
    assert pods.run() == ALL_RUN
    first_outputs = pods.digests()
    assert pods.run() == ALL_CACHED
    assert pods.digests() == first_outputs
    keys = {found.key for found in aws.Bucket("mlpipeline").objects.all()}
    assert all(key.startswith(f"v2/artifacts/taxi/{stage_cache.FOLDER}/") for key in keys)
    assert len([key for key in keys if key.endswith("/entry.json")]) == 3
    for key in keys:
        if key.endswith("/saved_model.pb"):
            aws.Object("mlpipeline", key).put(Body=b"damaged")
    assert pods.run() == ALL_RUN
    assert pods.run() == ALL_CACHED


def test_the_first_of_two_concurrent_entries_in_an_object_store_is_kept(pods_in_s3: Pods, aws: Any) -> None:
    documents = [pods_in_s3.document(), pods_in_s3.document()]
    found = [
        children.fork(lambda each=each: run(pods_in_s3.members[:1], each, _run_stage))  # type: ignore[misc]
        for each in documents
    ]
    assert [children.status(pid) for pid in found] == [0, 0]
    keys = [found.key for found in aws.Bucket("mlpipeline").objects.all()]
    assert len({key.rsplit("/entry.json")[0] for key in keys if key.endswith("entry.json")}) == 1
    assert len([key for key in keys if key.endswith("/saved_model.pb")]) == 1


def test_a_pod_runs_without_an_unreachable_cache(pods_in_s3: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(stage_cache.VARIABLE, "s3://no-such-bucket/cache")
    assert pods_in_s3.run() == ALL_RUN
    # One message a pod: the cache is not tried again.
    assert pods_in_s3.text.count("    no stage cache: s3://no-such-bucket/cache: ") + pods_in_s3.text.count(
        "    not kept in the stage cache: s3://no-such-bucket/cache: "
    ) in (1, 3)


def _wait(pods: Pods, days: float) -> None:
    """Makes the cache this many days older."""
    for each in (pods.folder / "root/taxi" / stage_cache.FOLDER).rglob("*"):
        then = each.stat().st_mtime - days * 24 * 60 * 60
        os.utime(each, (then, then))


@pytest.mark.parametrize(("days", "expected"), [("", "SUCCEEDED"), ("0", "CACHED"), ("60.5", "CACHED")])
def test_a_pod_removes_what_no_pod_used_for_long(
    pods: Pods, monkeypatch: pytest.MonkeyPatch, days: str, expected: str
) -> None:
    monkeypatch.setenv(stage_cache.DAYS_VARIABLE, days)
    pods.run()
    _wait(pods, 20)
    pods.parameters["version"] = 6
    assert pods.run() == {**ALL_CACHED, "again": "SUCCEEDED"}
    _wait(pods, 20)
    pods.parameters["version"] = 7
    assert pods.run() == {**ALL_CACHED, "again": "SUCCEEDED"}
    assert pods.text.count("    1 old entry removed from the stage cache\n") == (expected == "SUCCEEDED")
    # What the pods in between found is there; the first pod's last entry was found by none.
    pods.parameters["version"] = 5
    assert pods.run() == {**ALL_CACHED, "again": expected}


@pytest.mark.parametrize("days", ["a week", "-1", "nan", "inf"])
def test_a_pod_refuses_a_limit_that_is_no_number_of_days(
    pods: Pods, monkeypatch: pytest.MonkeyPatch, days: str
) -> None:
    monkeypatch.setenv(stage_cache.DAYS_VARIABLE, days)
    with pytest.raises(UserError, match=r"TAXIWAY_STAGE_CACHE_DAYS is '.*', not a number of days"):
        run(pods.members, pods.document(), _run_stage)


def test_a_sweep_while_a_pod_reads_is_a_miss(pods: Pods, monkeypatch: pytest.MonkeyPatch) -> None:
    pods.run()
    _wait(pods, 40)
    use = stage_cache.store(str(pods.folder / "root/taxi" / stage_cache.FOLDER)).__class__.use

    def swept(cache: Any, name: str) -> None:
        cache.sweep(30)
        use(cache, name)

    with monkeypatch.context() as patch:
        patch.setattr(f"components.fused.stores.{use.__qualname__}", swept)
        assert pods.run() == ALL_RUN
    assert pods.run() == ALL_CACHED


MODULE = """
import os

def preprocessing_fn(inputs):
    return inputs

def run_fn(fn_args):
    return NUMBER
"""


def test_a_key_changes_with_what_the_member_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    module = tmp_path / "user.py"
    module.write_text(MODULE)
    (tmp_path / "examples").mkdir()
    given = {"uri": str(tmp_path / "examples"), "metadata": {"digest": "1", "split_names": "[]", "provenance": "{}"}}

    def parts(variable: str = "", **parameters: Any) -> Json:
        member = Member(name="it", stage="transform", variables=(variable,) if variable else ())
        names = ("transform_graph", "transformed_examples", "pre_transform_schema", "updated_analyzer_cache")
        outputs = {name: {"artifacts": [{"uri": str(tmp_path / name), "metadata": {}}]} for name in names}
        inputs = {"parameterValues": {"module": "user.py", **parameters}}
        inputs["artifacts"] = {name: {"artifacts": [given]} for name in ("examples", "schema")}
        return keys.parts(member, {"inputs": inputs, "outputs": {"artifacts": outputs}})

    first = parts()
    module.write_text(MODULE.replace("NUMBER", "2"))
    assert parts() == first
    module.write_text(MODULE.replace("NUMBER", "2").replace("return inputs", "return dict(inputs)"))
    changed = parts()
    assert {name for name in first if changed[name] != first[name]} == {"modules"}
    assert parts(disable_statistics=True)["parameters"] != changed["parameters"]
    given["metadata"] = {"digest": "1", "split_names": "[]", "provenance": "{1}", "store_session_info": "{}"}
    assert parts() == changed
    given["metadata"] = {"digest": "2", "split_names": "[]"}
    assert parts()["inputs"] != changed["inputs"]
    monkeypatch.setenv("SETTING", "1")
    assert parts("SETTING")["variables"] == {"SETTING": "1"}


@pytest.mark.parametrize(
    ("uri", "variables", "expected"),
    [
        ("minio://b/v2/taxi/5f0c9a2e-1111-4222-8333-444455556666/t/s/o", "", ""),
        ("minio://b/v2/taxi/5f0c9a2e-1111-4222-8333-444455556666/t/s/o", "AWS_ACCESS_KEY_ID", ""),
        (
            "minio://b/v2/taxi/5f0c9a2e-1111-4222-8333-444455556666/t/s/o",
            "AWS_ACCESS_KEY_ID AWS_ENDPOINT_URL",
            "minio://b/v2/taxi/.taxiway-cache",
        ),
        (
            "s3://b/taxi/5f0c9a2e-1111-4222-8333-444455556666/t/5f0c9a2e-1111-4222-8333-444455556667/o",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "s3://b/taxi/.taxiway-cache",
        ),
        ("gs://b/taxi/5f0c9a2e-1111-4222-8333-444455556666/t/s/o", "", "gs://b/taxi/.taxiway-cache"),
        ("/outputs/taxi-2026-11-27-20-15-30-123456/t/o", "", "/outputs/.taxiway-cache"),
        ("/somewhere/else/o", "", ""),
    ],
)
def test_the_cache_is_beside_the_runs(uri: str, variables: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*stage_cache._S3_CREDENTIALS, *stage_cache._S3_ENDPOINTS):
        monkeypatch.delenv(name, raising=False)
    for name in variables.split():
        monkeypatch.setenv(name, "set")
    assert stage_cache.place({"outputs": {"artifacts": {"o": {"artifacts": [{"uri": uri}]}}}}) == expected
