from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import kubernetes_validate
import psutil
import pyarrow as pa
import pytest

from components.contract.artifacts import Examples, InfraBlessing, Model
from components.contract.digests import file_digests, tree_digest
from components.data.examples import SplitWriter, describe
from components.data.tfrecord import read_records
from components.execution.pushed_models import WARMUP_FILE
from tests.components.engines import cluster, container_engine, until

Validate = Callable[..., InfraBlessing]


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    """Trips with a fare that may be missing, two coordinates and a company."""
    found = Examples(tmp_path_factory.mktemp("examples"))
    for split, count in (("train", 5), ("eval", 30), ("empty", 0)):
        rows = {
            "fare": pa.array([None if n == 3 else [n / 2] for n in range(count)], pa.large_list(pa.float32())),
            "place": pa.array([[n, n + 1] for n in range(count)], pa.large_list(pa.int64())),
            "company": pa.array([[f"company {n}".encode()] for n in range(count)], pa.large_list(pa.large_binary())),
        }
        with SplitWriter(found, split) as writer:
            writer.write(pa.RecordBatch.from_pydict(rows))
    describe(found, ["train", "eval", "empty"], "parquet")
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model with every kind of signature."""
    import tensorflow as tf

    columns = {
        "fare": tf.io.FixedLenFeature([], tf.float32, 0.0),
        "company": tf.io.FixedLenFeature([], tf.string, ""),
    }

    class Fares(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(2.0)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def by_examples(self, examples: Any) -> dict[str, Any]:
            parsed = tf.io.parse_example(examples, columns)
            return {"price": self.factor * parsed["fare"][:, None], "company": parsed["company"]}

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 1], tf.float32, name="fare"),
                tf.TensorSpec([None, 3], tf.int64, name="place"),
                tf.TensorSpec([None], tf.string, name="company"),
            ]
        )
        def by_columns(self, fare: Any, place: Any, company: Any) -> dict[str, Any]:
            return {"price": self.factor * fare[:, 0] + tf.cast(place[:, 2], tf.float32), "company": company}

        @tf.function(input_signature=[tf.TensorSpec([4], tf.float32, name="fare")])
        def by_four(self, fare: Any) -> dict[str, Any]:
            return {"price": self.factor * fare}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="tolls")])
        def by_tolls(self, tolls: Any) -> dict[str, Any]:
            return {"price": tolls}

    fares = Fares()
    folder = tmp_path_factory.mktemp("model")
    signatures = {
        "serving_default": fares.by_examples,
        "columns": fares.by_columns,
        "four": fares.by_four,
        "tolls": fares.by_tolls,
    }
    tf.saved_model.save(fares, str(folder / "Format-Serving"), signatures=signatures)
    (folder / "Format-Serving/assets.extra").mkdir()
    (folder / "Format-Serving/assets.extra/notes.txt").write_text("trained on trips")
    return Model(folder)


FORKING = """
import json, os, sys
import tensorflow
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tfx_bsl.coders import example_coder
from components import __main__
from components.data import examples
from components.infra_validator.servers import local_server

local_server.COMMAND = "tests.components.tiny_server"
for line in sys.stdin:
    job = json.loads(line)
    if (pid := os.fork()) == 0:
        log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(job["environment"])
        status = __main__.main(["infra_validator", "--executor-input", json.dumps(job["input"])])
        sys.stdout.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def forking() -> Iterator[subprocess.Popen[str]]:
    """A process that forks stages after loading libraries, like the local runner, but with the tiny server."""
    command = [sys.executable, "-c", FORKING]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait(10) == 0


class RefusedError(Exception):
    """The stage failed; the message is its error."""


@pytest.fixture
def validate(forking: subprocess.Popen[str], tmp_path: Path) -> Iterator[Validate]:
    """`validate(model, examples, fault="", environment={}, **parameters)`: a blessing, in its own folder."""
    numbers = itertools.count()

    def run(
        model: Model,
        examples: Examples | None,
        fault: str = "",
        environment: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> InfraBlessing:
        folder = tmp_path / str(next(numbers))
        (folder / "tmp").mkdir(parents=True)
        variables = {"TINY_FAULT": fault, "TMPDIR": str(folder / "tmp"), **(environment or {})}
        document = executor_input(model, examples, folder, {"num_tries": 1, **parameters})
        job = {"input": document, "environment": variables, "log": str(folder / "log")}
        assert forking.stdin
        assert forking.stdout
        forking.stdin.write(json.dumps(job) + "\n")
        forking.stdin.flush()
        status = int(forking.stdout.readline())
        assert list((folder / "tmp").iterdir()) == []
        if status:
            failure = (folder / "log").read_text().rpartition("error: ")[2]
            assert sorted(path.name for path in folder.iterdir()) == ["log", "tmp"], failure
            raise RefusedError(f"{status} {failure}")
        written = json.loads((folder / "output.json").read_text())
        metadata = written["artifacts"]["blessing"]["artifacts"][0]["metadata"]
        assert written["parameterValues"] == {"blessed": metadata["blessed"] == 1}
        return InfraBlessing(folder / "blessing", metadata)

    yield run
    assert psutil.Process(forking.pid).children(recursive=True) == []


def executor_input(
    model: Model, examples: Examples | None, folder: Path, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    inputs = {"model": model} | ({"examples": examples} if examples else {})
    artifacts = {
        name: {"artifacts": [{"uri": str(each.path), "metadata": each.metadata}]} for name, each in inputs.items()
    }
    blessing = {"name": "blessing", "uri": str(folder / "blessing"), "metadata": {}}
    return {
        "inputs": {"parameterValues": parameters, "artifacts": artifacts},
        "outputs": {
            "artifacts": {"blessing": {"artifacts": [blessing]}},
            "parameters": {"blessed": {"outputFile": str(folder / "blessed")}},
            "outputFile": str(folder / "output.json"),
        },
    }


def log_of(blessing: InfraBlessing) -> str:
    """What the stage printed."""
    return blessing.path.with_name("log").read_text()


def report(blessing: InfraBlessing) -> dict[str, Any]:
    return dict(json.loads((blessing.path / "report.json").read_text()))


def serving(blessing: InfraBlessing) -> Path:
    return blessing.path / "stamped_model"


def warmup(blessing: InfraBlessing) -> list[Any]:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    return [PredictionLog.FromString(record) for record in read_records(serving(blessing) / WARMUP_FILE)]


def test_a_candidate_that_answers_is_blessed_and_gets_a_stamped_copy(
    validate: Validate, model: Model, examples: Examples
) -> None:
    before = tree_digest(model.path)
    blessing = validate(model, examples)
    assert {path.name for path in blessing.path.iterdir()} == {
        "INFRA_BLESSED",
        "report.json",
        "provenance.json",
        "stamped_model",
    }
    assert (blessing.metadata["blessed"], blessing.metadata["has_model"]) == (1, 1)
    outcome = report(blessing)
    assert outcome == {"blessed": True, "step": "", "message": "", "log": []}
    measured = blessing.metadata
    assert measured["tries"] == 1
    assert 0 < measured["loading_seconds"] < 60
    assert set(measured["latency"]) == {"serving_default", "columns", "four"}
    assert 0 < measured["latency"]["columns"]["p50_ms"] <= measured["latency"]["columns"]["p99_ms"]
    output = log_of(blessing)
    assert "not called: the signature 'tolls' takes tolls, which the examples lack" in output
    assert "infra_validator: blessed: AVAILABLE after " in output
    assert tree_digest(model.path) == before


def test_the_stamped_model_is_the_candidate_with_warm_up_requests(
    validate: Validate, model: Model, examples: Examples
) -> None:
    import tensorflow as tf

    blessing = validate(model, examples, num_examples=6)
    stamped, candidate = file_digests(serving(blessing)), file_digests(model.path / "Format-Serving")
    assert stamped.keys() - candidate.keys() == {WARMUP_FILE}
    assert candidate.items() <= stamped.items()
    # It takes no space.
    variables = "variables/variables.data-00000-of-00001"
    assert (serving(blessing) / variables).samefile(model.path / "Format-Serving" / variables)
    requests = [log.predict_log.request for log in warmup(blessing)]
    by_signature = {name: [r for r in requests if r.model_spec.signature_name == name] for name in ("columns", "four")}
    assert len(requests) == (6 + 1) + (6 + 1) + 1
    assert [tf.make_ndarray(request.inputs["fare"]).shape for request in by_signature["columns"]] == [(1, 1)] * 6 + [
        (6, 1)
    ]
    every = by_signature["columns"][-1].inputs
    assert tf.make_ndarray(every["fare"]).ravel().tolist() == [0.0, 0.5, 1.0, 0.0, 2.0, 2.5]
    assert tf.make_ndarray(every["place"])[2].tolist() == [2, 3, 0]
    assert tf.make_ndarray(every["company"]).tolist()[:2] == [b"company 0", b"company 1"]
    assert tf.make_ndarray(by_signature["four"][0].inputs["fare"]).shape == (4,)


def test_equal_runs_give_equal_stamped_models(validate: Validate, model: Model, examples: Examples) -> None:
    one, same = (tree_digest(validate(model, examples, num_examples=2).path) for _ in range(2))
    assert one == same


def test_the_candidates_own_warm_up_requests_are_kept(
    validate: Validate, model: Model, examples: Examples, tmp_path: Path
) -> None:
    stamped = serving(validate(model, examples, num_examples=1, signatures=["columns"]))
    own = Model(tmp_path / "own")
    own.path.mkdir()
    stamped.rename(own.path / "Format-Serving")
    before = tree_digest(own.path)
    again = validate(own, examples, num_examples=4, signatures=["four"])
    assert tree_digest(own.path) == before
    names = [log.predict_log.request.model_spec.signature_name for log in warmup(again)]
    assert names == ["columns", "columns", "four"]


def test_without_warm_up_requests_there_is_no_copy(validate: Validate, model: Model, examples: Examples) -> None:
    blessing = validate(model, examples, make_warmup=False, signatures=["columns"])
    assert blessing.metadata["has_model"] == 0
    assert not serving(blessing).exists()


def test_without_examples_a_candidate_is_loaded_but_not_called(validate: Validate, model: Model) -> None:
    blessing = validate(model, None)
    assert report(blessing)["blessed"]
    assert "latency" not in blessing.metadata
    assert blessing.metadata["has_model"] == 0


@pytest.mark.parametrize(
    ("fault", "step", "message"),
    [
        ("start", "start", "the server exited with status 1"),
        ("silence", "start", "the server does not answer after 2 s"),
        ("load", "load", "Could not find meta graph def matching supplied tags: { serve }"),
        ("loading", "load", "the model is not AVAILABLE after 2 s: LOADING"),
        (
            "request",
            "request",
            "the signature 'columns' was refused: INVALID_ARGUMENT: input size does not match signature: 3 != 1",
        ),
        ("death", "request", "the signature 'columns' got no answer: the server was killed by signal 9"),
        (
            "name",
            "answer",
            "wrong: it has the outputs companys, prices, but the signature has the outputs company, price",
        ),
        ("shape", "answer", "wrong: the output 'company' has 2 rows for 1 examples"),
        ("rows", "answer", "wrong: the output 'company' has 0 rows for 1 examples"),
    ],
)
def test_a_candidate_that_fails_is_not_blessed_and_the_report_says_why(
    validate: Validate,
    model: Model,
    examples: Examples,
    fault: str,
    step: str,
    message: str,
) -> None:
    limit = {"max_loading_seconds": 2} if fault in ("silence", "loading") else {}
    blessing = validate(model, examples, fault, signatures=["columns"], num_examples=2, **limit)
    assert sorted(path.name for path in blessing.path.iterdir()) == [
        "INFRA_NOT_BLESSED",
        "provenance.json",
        "report.json",
    ]
    assert (blessing.metadata["blessed"], blessing.metadata["has_model"]) == (0, 0)
    outcome = report(blessing)
    assert (outcome["blessed"], outcome["step"]) == (False, step)
    assert outcome["message"].endswith(message)
    assert "a tiny server starts" in outcome["log"]
    printed = log_of(blessing)
    assert f"infra_validator: try 1 failed: {step}: " in printed
    assert message in printed
    assert "  a tiny server starts" in printed


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nan", "the output 'price' has nan for real examples"),
        ("dtype", "the output 'price' is float64, but the signature has float32"),
        ("random", "the output 'price' differs between two answers to the same request"),
    ],
)
def test_wrong_outputs_fail_the_candidate(
    validate: Validate, model: Model, examples: Examples, fault: str, message: str
) -> None:
    outcome = report(validate(model, examples, fault, signatures=["four"]))
    assert outcome["step"] == "answer"
    assert outcome["message"] == f"the answer of the signature 'four' is wrong: {message}"


def test_a_slow_candidate_is_not_blessed(validate: Validate, model: Model, examples: Examples) -> None:
    settings = {"signatures": ["four"], "num_examples": 4}
    outcome = report(validate(model, examples, "slow", **settings, max_latency_ms=20.0))
    assert outcome["step"] == "latency"
    assert re.match(
        r"the 99th percentile of the signature 'four' is \d+(\.\d+)? ms, above the limit of 20 ms \(\d+ requests",
        outcome["message"],
    )


def test_a_failure_is_retried(validate: Validate, model: Model, examples: Examples) -> None:
    assert validate(model, examples, "start", num_tries=2).metadata["tries"] == 2


def test_a_failed_candidate_can_stop_the_run(
    validate: Validate, model: Model, examples: Examples, tmp_path: Path
) -> None:
    with pytest.raises(
        RefusedError, match=r"(?s)the model failed at the step 'load': Could not find meta.*see the end of"
    ):
        validate(model, examples, "load", must_pass=True)


# Classify and Regress


@pytest.fixture(scope="module")
def estimator(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model with the methods Classify and Regress, like TensorFlow's estimators."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("estimator")
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, [None], "inputs")
        fare = tf.io.parse_example(serialized, {"fare": tf.io.FixedLenFeature([1], tf.float32, 0.0)})["fare"]
        build = v1.saved_model.signature_def_utils
        classes = tf.fill(tf.shape(fare), "big")
        signatures = {
            "serving_default": build.classification_signature_def(serialized, classes, fare),
            "regression": build.regression_signature_def(serialized, fare),
        }
        builder = v1.saved_model.Builder(str(folder / "Format-Serving"))
        builder.add_meta_graph_and_variables(session, [tf.saved_model.SERVING], signatures)
        builder.save()
    return Model(folder)


def test_classify_and_regress_are_called(validate: Validate, estimator: Model, examples: Examples) -> None:
    blessing = validate(estimator, examples, num_examples=2)
    assert set(blessing.metadata["latency"]) == {"serving_default", "regression"}
    logs = warmup(blessing)
    assert [log.WhichOneof("log_type") for log in logs] == ["regress_log"] * 3 + ["classify_log"] * 3
    [example] = logs[1].regress_log.request.input.example_list.examples
    assert example.features.feature["fare"].float_list.value == [0.5]


def test_a_missing_result_fails_the_candidate(validate: Validate, estimator: Model, examples: Examples) -> None:
    outcome = report(validate(estimator, examples, "rows", signatures=["serving_default"]))
    assert outcome["message"].endswith("it has 0 results for 1 examples")


# Settings


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"num_examples": 0}, "num_examples is 0\n  fix: use a number above 0"),
        ({"num_tries": 0}, "num_tries is 0\n"),
        ({"max_loading_seconds": -1.0}, "max_loading_seconds is -1.0\n"),
        ({"max_latency_ms": -1.0}, "max_latency_ms is -1.0\n  fix: use a number above 0, or 0 for no limit"),
        ({"serving": {}}, "serving has no key\n  fix: use one of local, docker, kubernetes"),
        ({"serving": {"local": {}, "docker": {}}}, "serving has 'local', 'docker'"),
        ({"serving": {"dokcer": {}}}, "serving has no 'dokcer'\n  fix: did you mean 'docker'?"),
        ({"serving": {"docker": {}}}, "serving.docker.image is missing\n  fix: add image: ..."),
        ({"serving": {"docker": {"image": 1}}}, "serving.docker.image is 1\n  fix: write a value of type str"),
        ({"serving": {"docker": {"imag": "x"}}}, "serving.docker has no setting 'imag'\n  fix: did you mean 'image'?"),
        ({"serving": {"local": {"port": 1}}}, "serving.local has no setting 'port'\n  fix: remove it"),
        ({"serving": {"docker": "x"}}, "serving.docker takes a map of settings, not 'x'"),
        (
            {"serving": {"kubernetes": {"image": "x", "staging": "/models"}}},
            "serving.kubernetes.staging is '/models', and volume_claim is ''\n  fix: set a folder and the claim",
        ),
        ({"splits": ["evil"]}, "there is no split 'evil' in "),
        ({"splits": ["empty"]}, "the splits empty of "),
        ({"signatures": ["predict"]}, "the model has no signature 'predict'\n  fix: its signatures: columns, four, "),
        (
            {"signatures": ["tolls"]},
            "the signature 'tolls' takes tolls, which the examples lack\n  fix: set other `signatures`",
        ),
        (
            {"signatures": ["four"], "num_examples": 3},
            "the signature 'four' takes 4 examples at a time, but there are only 3",
        ),
    ],
)
def test_an_invalid_setting_is_refused(
    validate: Validate, model: Model, examples: Examples, parameters: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(RefusedError) as raised:
        validate(model, examples, **parameters)
    assert str(raised.value).startswith(f"2 {message}")


def test_a_model_without_a_saved_model_is_refused(validate: Validate, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(RefusedError, match=r"Format-Serving has no saved_model.pb"):
        validate(Model(tmp_path / "model"), None)


# Other platforms


def test_a_candidate_is_validated_in_a_container(
    validate: Validate, model: Model, examples: Examples, tmp_path: Path
) -> None:
    with container_engine(tmp_path) as engine:
        docker = {"image": "tensorflow/serving:2.19.0", "environment": {"TINY_FAULT": ""}}
        engine_there = {"DOCKER_HOST": f"unix://{tmp_path}/engine.sock"}
        blessing = validate(model, examples, "", engine_there, serving={"docker": docker}, signatures=["columns"])
        [body] = engine.bodies
        assert report(blessing)["blessed"]
        assert body["Image"] == "tensorflow/serving:2.19.0"
        assert body["Cmd"] == ["--max_num_load_retries=0"]
        assert set(body["Env"]) == {"MODEL_NAME=model", "MODEL_BASE_PATH=/models", "TINY_FAULT="}
        assert body["HostConfig"]["Binds"][0].endswith(":/models/model:ro")
        assert body["HostConfig"]["PortBindings"] == {"8500/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
        assert engine.existing == {}


def test_a_container_that_ends_fails_the_candidate(validate: Validate, model: Model, tmp_path: Path) -> None:
    with container_engine(tmp_path) as engine:
        docker = {"image": "x", "environment": {"TINY_FAULT": "start"}, "socket": f"unix://{tmp_path}/engine.sock"}
        outcome = report(validate(model, None, serving={"docker": docker}))
        assert (outcome["step"], outcome["message"]) == ("start", "the container exited with status 1")
        assert outcome["log"][-2:] == ["a tiny server starts", "no port is free"]
        assert engine.existing == {}


def test_a_missing_image_is_reported(validate: Validate, model: Model, tmp_path: Path) -> None:
    with container_engine(tmp_path):
        docker = {"image": "nowhere/image:1", "socket": f"unix://{tmp_path}/engine.sock"}
        with pytest.raises(
            RefusedError, match=r"(?s)'nowhere/image:1' does not exist here and cannot be pulled.*correct serving"
        ):
            validate(model, None, serving={"docker": docker})


def test_a_missing_container_engine_is_reported(validate: Validate, model: Model, tmp_path: Path) -> None:
    with pytest.raises(
        RefusedError, match=r"(?s)no container engine answers at unix:///nowhere.*start Docker or Podman"
    ):
        validate(model, None, serving={"docker": {"image": "x", "socket": "unix:///nowhere"}})


KUBERNETES = {"image": "tensorflow/serving:2.19.0", "namespace": "team", "service_account": "pipeline-runner"}


def test_a_candidate_is_validated_in_a_pod(
    validate: Validate, model: Model, examples: Examples, tmp_path: Path
) -> None:
    staging = tmp_path / "claim"
    environment = {"KUBECONFIG": str(tmp_path / "kubeconfig"), "KFP_POD_NAME": "stage", "KFP_POD_UID": "1"}
    with cluster(tmp_path) as pods:
        settings = {**KUBERNETES, "staging": str(staging), "volume_claim": "models"}
        blessing = validate(model, examples, "", environment, serving={"kubernetes": settings}, signatures=["columns"])
        assert report(blessing)["blessed"]
        assert pods.existing == {}
        [pod] = pods.bodies
    assert list(staging.iterdir()) == []
    kubernetes_validate.validate(pod, "1.29", strict=True)
    assert pod["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Pod", "name": "stage", "uid": "1"}]
    assert pod["spec"]["serviceAccountName"] == "pipeline-runner"
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    [mount] = pod["spec"]["containers"][0]["volumeMounts"]
    assert (mount["mountPath"], mount["readOnly"]) == (str(staging), True)


def test_a_pod_that_ends_or_has_no_image_is_reported(validate: Validate, model: Model, tmp_path: Path) -> None:
    environment = {"KUBECONFIG": str(tmp_path / "kubeconfig")}
    place = {"staging": f"file://{tmp_path}/bucket"}
    with cluster(tmp_path) as pods:
        settings = {**KUBERNETES, **place, "environment": {"TINY_FAULT": "start"}}
        outcome = report(validate(model, None, "", environment, serving={"kubernetes": settings}))
        assert (outcome["step"], outcome["message"]) == ("start", "the pod ended: Error with status 1")
        assert outcome["log"][-1] == "no port is free"
        with pytest.raises(
            RefusedError, match=r"(?s)'nowhere/image:1' cannot be pulled: .*: not found.*correct serving"
        ):
            validate(
                model,
                None,
                "",
                environment,
                serving={"kubernetes": {**KUBERNETES, **place, "image": "nowhere/image:1"}},
            )
        with pytest.raises(RefusedError, match=r"cannot create a pod in the namespace forbidden: 403"):
            validate(
                model, None, "", environment, serving={"kubernetes": {**KUBERNETES, **place, "namespace": "forbidden"}}
            )
        assert pods.existing == {}
    assert list((tmp_path / "bucket").iterdir()) == []


# Kills and warm starts

STAGE = """
import os, sys
from components import __main__
from components.infra_validator.servers import local_server

local_server.COMMAND = "tests.components.tiny_server"
if {warm}:
    import tensorflow
    # Fork as the runner does: NumPy's threads stay in the parent.
    if forked := os.fork():
        os.symlink(str(forked), os.environ["TMPDIR"] + "/forked")
        sys.exit(os.waitpid(forked, 0)[1])
sys.exit(__main__.main(["infra_validator", "--executor-input", sys.argv[1]]))
"""


@contextmanager
def running_stage(model: Model, folder: Path, *, warm: bool = False, **parameters: Any) -> Iterator[psutil.Process]:
    """A stage whose candidate never finishes loading."""
    document = json.dumps(executor_input(model, None, folder, parameters))
    environment = {**os.environ, "TMPDIR": str(folder), "TINY_FAULT": "loading"}
    command = [sys.executable, "-c", STAGE.format(warm=warm), document]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        stage = psutil.Process(process.pid)
        if warm:
            # Imports start processes, too.
            until((folder / "forked").is_symlink)
            stage = psutil.Process(int((folder / "forked").readlink().name))
        yield stage
    finally:
        process.kill()
        process.wait()


def server_of(stage: psutil.Process) -> psutil.Process | None:
    """The server's process, once it has printed its first line."""
    for child in stage.children():
        with suppress(psutil.Error):
            logs = [Path(file.path) for file in child.open_files() if file.path.endswith("server.log")]
            if logs and "a tiny server starts" in logs[0].read_text():
                return child
    return None


@pytest.mark.parametrize(
    ("how", "warm"),
    [
        pytest.param(signal.SIGKILL, False, marks=pytest.mark.slow),
        (signal.SIGKILL, True),
        pytest.param(signal.SIGTERM, True, marks=pytest.mark.slow),
    ],
    ids=["killed-cold", "killed-warm", "terminated-warm"],
)
def test_the_server_dies_with_the_stage(model: Model, tmp_path: Path, how: signal.Signals, warm: bool) -> None:
    with running_stage(model, tmp_path, warm=warm) as stage:
        until(lambda: server_of(stage))
        server = server_of(stage)
        assert server is not None
        # A forked process has the command line of its parent.
        assert ("-c" in server.cmdline()) == warm
        stage.send_signal(how)
        server.wait(10)
    assert not (tmp_path / "blessing").exists()


def test_a_container_is_removed_when_the_stage_is_killed(model: Model, tmp_path: Path) -> None:
    with container_engine(tmp_path) as engine:
        docker = {"image": "x", "environment": {"TINY_FAULT": "loading"}, "socket": f"unix://{tmp_path}/engine.sock"}
        with running_stage(model, tmp_path, serving={"docker": docker}) as stage:
            until(lambda: engine.existing)
            stage.kill()
            until(lambda: engine.removed)
        assert engine.existing == {}
