"""Models with custom operations; one operation is compiled here and used in processes that have not loaded it."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from components.contract.artifacts import Examples
from components.contract.digests import file_digest
from components.contract.errors import UserError
from components.data.examples import SplitWriter, describe
from components.user_code import custom_op_loading, custom_ops
from taxiway.checks import roles
from taxiway.language.spec import Pipeline
from taxiway.storage.digest_store import DigestStore
from tests import forked
from tests.taxiway.serving import server

CHECKOUT = Path(__file__).parents[3]
LOAD = "import tensorflow as tf; operation = tf.load_op_library({file!r}).taxiway_triple\n"
SAVE = """
spec = {"x": tf.io.FixedLenFeature([1], tf.float32)}

@tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
def serve(examples):
    return {"score": operation(tf.io.parse_example(examples, spec)["x"])}

@tf.function(input_signature=[tf.TensorSpec([None, 1], tf.float32, "x")])
def plain(x):
    return {"y": operation(x)}

tf.saved_model.save(tf.Module(), sys.argv[1], signatures={"serving_default": serve, "plain": plain})
"""
MISSING = (
    "he model needs the operation 'TaxiwayTriple', which is not loaded: name the library "
    "with `--custom-ops MODULE or FILE.so` of the model server, or `custom_ops` of infra_validator and evaluator"
)


def python(log: Path, program: str, *arguments: str | Path) -> str:
    """The output of a program in a process that has loaded TensorFlow but no custom operation."""
    status = forked.Process("-c", [program, *map(str, arguments)], log).wait(250)
    assert status == 0, log.read_text()[-3000:]
    return log.read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("custom_ops")


@pytest.fixture(scope="module")
def library(folder: Path) -> Path:
    """The library with the operation."""
    if not shutil.which("g++"):
        pytest.skip("g++ is missing, which compiles the operation")
    import tensorflow as tf

    file = folder / "triple.so"
    flags = [*tf.sysconfig.get_compile_flags(), *tf.sysconfig.get_link_flags()]
    source = Path(__file__).with_name("custom_op.cc")
    command = ["g++", "-shared", "-fPIC", "-w", str(source), "-o", str(file), *flags]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"an operation does not compile here: {result.stderr[-300:]}")
    return file


@pytest.fixture(scope="module")
def model(folder: Path, library: Path) -> Path:
    """A Model artifact that uses the operation."""
    version = folder / "model" / "Format-Serving"
    python(folder / "save.log", f"import sys\n{LOAD.format(file=str(library))}{SAVE}", version)
    return version.parent


@pytest.fixture(scope="module")
def examples(folder: Path) -> Examples:
    artifact = Examples(folder / "examples")
    x = np.linspace(-1, 1, 50, dtype=np.float32)
    lists = {
        "x": pa.array([[v] for v in x.tolist()], pa.large_list(pa.float32())),
        "label": pa.array([[3 * v] for v in x.tolist()], pa.large_list(pa.float32())),
    }
    with SplitWriter(artifact, "eval", "parquet") as writer:
        writer.write(pa.RecordBatch.from_pydict(lists))
    describe(artifact, ["eval"], "parquet")
    return artifact


@pytest.mark.slow
def test_the_server_names_the_missing_operation_and_works_with_the_library(
    model: Path, library: Path, folder: Path
) -> None:
    base = folder / "triple"
    shutil.copytree(model / "Format-Serving", base / "1")
    (folder / "triple_module.py").write_text(LOAD.format(file=str(library)))
    with server.running(folder, base) as running:
        running.wait("triple", {1: "END"})
        assert running.error("triple", 1) == f"T{MISSING}"
    with server.running(folder, base, "--custom-ops", "triple_module", env={"PYTHONPATH": str(folder)}) as running:
        running.wait("triple", {1: "AVAILABLE"})
        answer = running.predictions.Predict(server.request("triple", "plain", x=[[1.0], [2.0]]), timeout=20)
        assert list(answer.outputs["y"].float_val) == [3.0, 6.0]


EVALUATE = """
import json, sys
from pathlib import Path
from components.contract.artifacts import Examples, Model
from components.contract.errors import UserError
from tests.conftest import run_stage_in

folder, model, library, examples = map(Path, sys.argv[1:5])
threshold = {"value_threshold": {"upper_bound": 1e-6}}
config = {
    "model_specs": [{"signature_name": "serving_default", "label_key": "label"}],
    "metrics_specs": [{"metrics": [{"class_name": "MeanSquaredError", "threshold": threshold}]}],
    "slicing_specs": [{}],
}
described = {"split_names": '["eval"]', "payload_format": "FORMAT_PARQUET"}
inputs = {"examples": Examples(examples, described), "model": Model(model)}
workers = ["--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=1"]
found = []
ways = {
    "without": {},
    "direct": {"custom_ops": [str(library)]},
    "beam": {"custom_ops": [str(library)], "engine": "beam", "beam_pipeline_args": workers},
}
for name in sys.argv[5:]:
    try:
        found.append(run_stage_in("evaluator", folder / name, inputs, {"eval_config": config, **ways[name]})["blessed"])
    except UserError as error:
        found.append(str(error))
print(json.dumps(found))
"""


def evaluated(model: Path, library: Path, examples: Examples, folder: Path, *ways: str) -> list[Any]:
    """For each case of EVALUATE, whether the model is blessed, or the error; runs in a separate process."""
    printed = python(folder / "evaluate.log", EVALUATE, folder, model, library, examples.path, *ways)
    return list(json.loads(printed.splitlines()[-1]))


def test_the_evaluator_names_the_missing_operation_and_works_with_the_library(
    model: Path, library: Path, examples: Examples, tmp_path: Path
) -> None:
    without, direct = evaluated(model, library, examples, tmp_path, "without", "direct")
    assert without == f"the model in {model}/Format-Serving does not load: t{MISSING}"
    assert direct is True


@pytest.mark.slow
def test_the_library_is_sent_to_beam_workers(model: Path, library: Path, examples: Examples, tmp_path: Path) -> None:
    assert evaluated(model, library, examples, tmp_path, "beam") == [True]


def infra_validated(model: Path, examples: Examples, folder: Path, **parameters: Any) -> tuple[int, str]:
    """The exit status and output of the stage, which runs in a separate process."""
    given = {"model": model, "examples": examples.path}
    artifacts = {
        name: {"artifacts": [{"uri": str(path), "metadata": examples.metadata if name == "examples" else {}}]}
        for name, path in given.items()
    }
    blessing = {"name": "blessing", "uri": str(folder / "blessing"), "metadata": {}}
    document = {
        "inputs": {"parameterValues": {"num_tries": 1, **parameters}, "artifacts": artifacts},
        "outputs": {
            "artifacts": {"blessing": {"artifacts": [blessing]}},
            "parameters": {"blessed": {"outputFile": str(folder / "blessed")}},
            "outputFile": str(folder / "output.json"),
        },
    }
    log = folder / "infra_validator.log"
    arguments = ["infra_validator", "--executor-input", json.dumps(document)]
    return forked.Process("components", arguments, log).wait(250), log.read_text()


def test_the_local_server_of_infra_validator_gets_the_library(
    model: Path, library: Path, examples: Examples, tmp_path: Path
) -> None:
    status, message = infra_validated(
        model, examples, tmp_path, custom_ops=[str(library)], signatures=["serving_default"]
    )
    assert status == 0, message
    assert (tmp_path / "blessing" / "INFRA_BLESSED").exists(), message
    record = json.loads((tmp_path / "blessing" / "provenance.json").read_text())[0]
    assert record["code"]["files"] == {str(library): file_digest(library)}


def test_libraries_are_refused_for_a_server_in_an_image(tmp_path: Path) -> None:
    examples = Examples(tmp_path / "examples")
    serving = {"docker": {"image": "tensorflow/serving:2.19.0"}}
    status, message = infra_validated(tmp_path, examples, tmp_path, custom_ops=["tensorflow_text"], serving=serving)
    assert status == 2
    assert "fix: build the operations into the image's server, and remove custom_ops" in message


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (
            "TFText>NgramsStringJoin",
            "of TensorFlow Text, which is not loaded: install tensorflow-text and",
        ),
        ("SentencepieceTokenizeOp", "`--custom-ops tensorflow_text` of the model server"),
        ("IO>AudioDecodeWAV", "install tensorflow-io and name the library with `--custom-ops tensorflow_io`"),
        (
            "SimpleMLCreateModelResource",
            "of TensorFlow Decision Forests, which is not loaded: install",
        ),
        ("DecodeProtoSparseV2", "`--custom-ops struct2tensor`"),
        ("Mine", "the operation 'Mine', which is not loaded: name the library"),
    ],
)
def test_errors_name_well_known_libraries(operation: str, expected: str) -> None:
    message = (
        f"Op type not registered '{operation}' in binary running on here. Make sure the Op and Kernel are registered"
    )
    assert expected in custom_op_loading.missing(message)


def test_other_errors_are_not_reported_as_missing_operations() -> None:
    assert custom_op_loading.missing("Could not find meta graph def") == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "no_such_module",
            "cannot be imported: No module named 'no_such_module'\n  fix: install the library, or name",
        ),
        ("nothing.so", "the custom operations' file nothing.so does not exist\n  fix: correct the path"),
        ("broken.so", "the custom operations in 'broken.so' cannot be loaded: "),
        ("raises.py", "raises.py raised RuntimeError: no"),
    ],
)
def test_a_library_that_cannot_be_loaded_is_refused(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.so").write_text("no library")
    (tmp_path / "raises.py").write_text("raise RuntimeError('no')")
    with pytest.raises(UserError) as refused:
        custom_op_loading.load([name])
    assert message in str(refused.value)


def test_a_changed_library_has_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["one.so", "mine.py", "tensorflow_text", "tensorflow"]
    for content in ("1", "2"):
        (tmp_path / "one.so").write_text(content)
        (tmp_path / "mine.py").write_text(f"VALUE = {content}\n")
        digests = custom_ops.digests(given, file_digest)
        assert digests.keys() == {"one.so", "mine.py"}
        if content == "1":
            before = digests
    assert all(digests[name] != before[name] for name in digests)
    (tmp_path / "one.so").unlink()
    with pytest.raises(UserError, match=r"file one\.so does not exist"):
        custom_ops.digests(given, file_digest)


def test_a_changed_library_is_a_cache_miss_and_mounted_into_containers(tmp_path: Path) -> None:
    file = tmp_path / "one.so"
    compiled = yaml.safe_load((CHECKOUT / "components/evaluator/component.yaml").read_text())
    pipeline = Pipeline(compiled)
    task = pipeline.root.dag.tasks["evaluator"]
    named = roles.of_task(pipeline, task, pipeline.component(task), {"custom_ops": [str(file), "tensorflow_text"]})
    keys = []
    with closing(DigestStore(tmp_path / "digests.db")) as digests:
        for content in ("1", "22"):
            file.write_text(content)
            keys.append(roles.states(named, digests))
    assert keys[0] != keys[1]
    assert list(roles.paths(named)) == [file]
