"""Private names of other libraries: only `components/upstream` uses them, and the installed versions have them."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
UPSTREAM = ROOT / "components/upstream"
LIBRARIES = {
    "beam": "apache-beam",
    "delta": "deltalake",
    "tensorflow": "tensorflow",
    "tensorflow_sessions": "tensorflow",
    "tf_keras": "tf-keras",
    "tfdv": "tensorflow-data-validation",
    "tfma": "tensorflow-model-analysis",
    "tft": "tensorflow-transform",
}
ROOTS = ("apache_beam", "tensorflow", "tensorflow_data_validation", "tensorflow_model_analysis")
ROOTS += ("tensorflow_transform", "tf_keras", "tfx", "tfx_bsl")
DOCUMENTED = {"_asdict", "_exit", "_fields", "_replace"}
"""Names of the standard library that begin with an underscore and are documented."""
ALLOWED = {("taxiway/cli/__init__.py", "_run_exitfuncs"), ("components/processes/children.py", "_clear")}
"""Of the standard library's `atexit`."""


def _sources() -> list[Path]:
    return [path for folder in ("components", "pipelines", "taxiway") for path in (ROOT / folder).rglob("*.py")]


def _private(source: str) -> Iterator[str]:
    """The private names of other libraries that a module uses: attributes, imports, and names in getattr-like calls."""
    tree = ast.parse(source)
    own = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_self(node.value)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not _is_self(node.value) and node.attr not in own:
            yield from filter(_is_private, [node.attr])
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from filter(_is_private_module, _imported(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("attr"):
            yield from filter(_is_private, (a.value for a in node.args[1:2] if isinstance(a, ast.Constant)))


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in DOCUMENTED


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    before = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    return [before + alias.name for alias in node.names]


def _is_private_module(name: str) -> bool:
    parts = name.split(".")
    inner = any(_is_private(part) or re.search(r"(^|_)impls?(_|$)", part) for part in parts)
    return parts[0] != "__future__" and (inner or name.startswith("tensorflow.python"))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import tensorflow as tf\ntf.Graph()._c_graph", ["_c_graph"]),
        ("def f(combiner):\n    return combiner._metrics", ["_metrics"]),
        ("getattr(combiner, '_class_weights', None)", ["_class_weights"]),
        ("setattr(session, '_graph', None)", ["_graph"]),
        ("from tensorflow.python.framework import ops", ["tensorflow.python.framework.ops"]),
        ("def f():\n    import tensorflow.python.eager", ["tensorflow.python.eager"]),
        ("from tensorflow_transform import impl_helper, nodes", ["tensorflow_transform.impl_helper"]),
        ("from tensorflow_transform.beam import analyzer_impls", ["tensorflow_transform.beam.analyzer_impls"]),
        (
            "from tensorflow_transform.analyzers import _VocabOrderingType",
            ["tensorflow_transform.analyzers._VocabOrderingType"],
        ),
        (
            "class A:\n    def f(self, other):\n        self._own = other._own",
            [],
        ),
        ("import os\nos._exit(0)\nx.__dict__", []),
    ],
)
def test_private_names_are_found(source: str, found: list[str]) -> None:
    assert list(_private(source)) == found


def test_only_upstream_uses_private_names() -> None:
    sources = [path for path in _sources() if UPSTREAM not in path.parents]
    assert len(sources) > 250
    found = {(str(path.relative_to(ROOT)), name) for path in sources for name in _private(path.read_text())}
    assert found == ALLOWED


def test_documented_versions_are_installed_and_pinned() -> None:
    files = {path.stem for path in UPSTREAM.glob("*.py")} - {"__init__"}
    assert files == LIBRARIES.keys()
    setup = (ROOT / "setup.py").read_text()
    for file, library in LIBRARIES.items():
        read = re.findall(r'^VERSION = "(.+)"$', (UPSTREAM / f"{file}.py").read_text(), re.MULTILINE)
        assert read == [version(library)], library
        # Beam's hook is documented, though its name is private.
        assert f'"{library}=={version(library)}"' in setup or library == "apache-beam"


def test_each_module_imports_only_its_own_library() -> None:
    code = """
import sys
for file, unloaded in (("tensorflow", "tensorflow_transform"), ("tft", "apache_beam")):
    __import__(f"components.upstream.{file}")
    print(file, unloaded in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["tensorflow", "False", "tft", "False"], result.stderr


def test_every_name_of_these_libraries_exists() -> None:
    """Also checks public names: everything that our modules use from theirs."""
    found = [use for path in _sources() for use in _uses(ast.parse(path.read_text()))]
    assert len(found) > 400
    assert {f"{module}.{chain}" for module, chain in found if not _exists(module, chain)} == set()


def test_missing_names_are_found() -> None:
    tree = ast.parse("from tensorflow_transform import nodes\nnodes.Visitor\nnodes.NoSuchVisitor.x")
    assert [(chain, _exists(module, chain)) for module, chain in _uses(tree)] == [
        ("Visitor", True),
        ("NoSuchVisitor", False),
        ("nodes", True),
    ]


def _uses(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The modules of these libraries, with the attributes that are used from them."""
    modules, names = {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and _imported(node)[0].split(".")[0] in ROOTS:
            for alias, whole in zip(node.names, _imported(node), strict=True):
                modules[alias.asname or alias.name] = whole
                names.append(whole)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield modules[node.value.id], node.attr
    for whole in names:
        yield whole.rpartition(".")[::2] if "." in whole else (whole, "__name__")


def _exists(module: str, name: str) -> bool:
    held = _resolved(module)
    return hasattr(held, name) or (isinstance(held, ModuleType) and _resolved(f"{module}.{name}") is not None)


def _resolved(name: str) -> Any:
    """A module or an attribute of one; None if there is neither."""
    try:
        return importlib.import_module(name)
    except ImportError:
        before, _, last = name.rpartition(".")
        return getattr(_resolved(before), last, None) if before else None


def _combiner_with_settings(combiner: Any, **given: Any) -> Any:
    """A combiner with our settings, and the other settings that its version accepts."""
    parameters = inspect.signature(combiner.__init__).parameters
    return combiner(**{name: given.get(name) for name in parameters if name != "self"})


def test_settings_of_tfmas_combiners_are_read() -> None:
    from components.upstream import tfma

    histogram = _combiner_with_settings(
        tfma.CalibrationHistogramCombiner, left=1.0, right=4.0, num_buckets=5, prediction_based_bucketing=True
    )
    assert tfma.buckets(histogram) == tfma.Buckets(1.0, 3.0, 5, fractional_labels=False, by_prediction=True)
    matrix = _combiner_with_settings(
        tfma.BinaryConfusionMatrixCombiner, thresholds=[0.5], class_weights={0: 2.0}, example_id_key="id"
    )
    assert list(tfma.matrix_thresholds(matrix)) == [0.5]
    assert tfma.class_weights(matrix) == {0: 2.0}
    assert (tfma.samples_examples(matrix), tfma.takes_fractional_labels(matrix)) == (True, False)
    classes = _combiner_with_settings(
        tfma.MultiClassConfusionMatrixCombiner, thresholds=[0.1], extract_label_prediction_and_weight=len
    )
    assert (tfma.class_thresholds(classes), tfma.extraction(classes)) == ([0.1], len)
    entropy = _combiner_with_settings(tfma.BinaryCrossEntropyCombiner, label_smoothing=0.1, from_logits=True)
    assert (tfma.label_smoothing(entropy), tfma.from_logits(entropy)) == (0.1, True)
    keras = _combiner_with_settings(
        tfma.CompilableMetricsCombiner, metric_configs={"": []}, loss_configs={"": [{}]}, model_name="m"
    )
    settings = tfma.keras_settings(keras)
    assert (settings.model, settings.outputs, settings.aggregates, settings.has_losses) == ("m", [""], False, True)


def test_class_weights_of_every_combiner_are_read() -> None:
    """A combiner whose weights have another name fails, instead of continuing without weights."""
    from components.evaluator.accumulators.selection import _KINDS
    from components.upstream import tfma

    given: dict[str, Any] = {"class_weights": {1: 3.0}, "thresholds": [], "left": 0, "right": 1}
    found = {kind.__name__: tfma.class_weights(_combiner_with_settings(kind, **given)) for kind in _KINDS}
    assert len(found) == 12
    assert {name for name, weights in found.items() if weights is None} == {
        "_ExampleCountCombiner",
        "_MultiClassConfusionMatrixCombiner",
    }
    with pytest.raises(AttributeError, match="_class_weights"):
        tfma.class_weights(object())


def test_accumulators_only_accept_names_that_tfma_has() -> None:
    from components.evaluator.accumulators.combiner_sums import fill_attributes
    from components.upstream import tfma

    with pytest.raises(AttributeError, match="total_of_old"):
        fill_attributes("total_of_old")(
            _combiner_with_settings(tfma.BinaryCrossEntropyCombiner), np.zeros(1), np.ones((1, 1))
        )


def test_a_mean_of_tf_keras_averages_these_values() -> None:
    import tf_keras

    from components.upstream.tf_keras import values_of_rows

    metric = tf_keras.metrics.MeanSquaredError()
    assert np.asarray(values_of_rows(metric, np.array([[1.0], [2.0]]), np.array([[3.0], [2.0]]))).tolist() == [4.0, 0.0]


def test_names_of_variables_count_up() -> None:
    import tensorflow as tf

    from components.upstream.tensorflow import unique_name

    first, second = tf.Variable(1.0, name="a"), tf.Variable(1.0, name="a")
    assert int(unique_name(first).rpartition("_")[2]) < int(unique_name(second).rpartition("_")[2])
    with tf.Graph().as_default():
        assert unique_name(tf.compat.v1.Variable(1.0, use_resource=False, name="old")) == "old:0"


def test_beams_flags() -> None:
    from components.upstream import beam

    assert {"--runner", "--direct_num_workers"} <= set(beam.flags())


def test_tfts_arithmetic() -> None:
    from components.upstream import tft

    joined = tft.join_boundary_rows(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert len(joined) == 4
    assert callable(tft.mutual_information())
    assert (
        list(tft.means_by_token((np.array([], object), np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(0)), weighted=True))
        == []
    )
