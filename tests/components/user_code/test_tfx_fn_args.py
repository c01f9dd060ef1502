"""Programs see the same TFX and TFMA, whether or not `fn_args_utils` was loaded alone first."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

_LOAD_ALONE = "import components.user_code.tfx_fn_args"
_LOAD_TFX = "import tfx.components.trainer.fn_args_utils"
_ARGUMENTS = "tfx.components.trainer.fn_args_utils"
# Forks a child for each line, and from that one for each program, so that the named modules are imported once.
_PROGRAMS = """
import contextlib, importlib, json, os, sys, traceback
import tensorflow, tensorflow_data_validation

def forked(work, *arguments):
    if os.fork() == 0:
        with contextlib.suppress(BaseException):
            work(*arguments)
        os._exit(0)
    os.wait()

def load(loaded, prelude, *programs):
    for name in loaded:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    exec(prelude)
    for program in programs:
        forked(report, program)

def report(program):
    try:
        module = {}
        exec(program, module)
        print(json.dumps(module["result"]), flush=True)
    except BaseException:
        print(json.dumps(traceback.format_exc()), flush=True)

for line in sys.stdin:
    forked(load, *json.loads(line))
    print(flush=True)
"""
_NAMES = """
import sys
result = {
    package: [[name, repr(type(value)), getattr(value, "__module__", "")]
              for name, value in sorted(vars(sys.modules[package]).items()) if not name.startswith("__")]
    for package in ("tfx.components", "tensorflow_model_analysis")
}
"""
# The packages of others that TFX and TFMA load, which takes most of their import time.
_DEPENDENCIES = """
import sys, tensorflow_model_analysis
result = [name for name in sys.modules if name.partition(".")[0] not in ("tfx", "tensorflow_model_analysis")]
"""
_IS_KEPT = f"""
import sys
first = sys.modules["tfx.components"]
{_LOAD_ALONE}
result = sys.modules["tfx.components"] is first
"""
_PROGRAMS_WITH_MORE = [
    "import tfx.components, tensorflow_model_analysis",
    "import tensorflow_model_analysis.metrics",
    "from tensorflow_model_analysis.sdk import EvalConfig",
    "from tfx.components.trainer.executor import GenericExecutor",
    "from tfx import v1 as tfx; import tensorflow_model_analysis as tfma; tfma.sdk.EvalConfig, tfma.EvalConfig",
]


_FIRST = f"import sys; first = sys.modules['{_ARGUMENTS}']\n"
_SAME = "\nresult = [module is first, module.FnArgs.__module__]"
_IMPORTS = [
    "import tfx.components.trainer.fn_args_utils as module",
    "import tfx.components.trainer.fn_args_utils; module = tfx.components.trainer.fn_args_utils",
    "from tfx.components.trainer import fn_args_utils as module",
]
_IMPORTS_OF_ALL = [
    "import tfx.components as components; module = components.trainer.fn_args_utils",
    "import sys; from tfx import v1 as tfx; module = sys.modules[tfx.components.FnArgs.__module__]",
]


Run = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def run_programs() -> Iterator[Run]:
    """`run_programs(prelude, *programs, loaded=[])`: the results of programs, each in its own process."""
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAMS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        requests, answers = process.stdin, process.stdout
        assert requests and answers

        def run(prelude: str, *programs: str, loaded: Sequence[str] = ()) -> list[Any]:
            print(json.dumps([loaded, prelude, *programs]), file=requests, flush=True)
            return [json.loads(line) for line in iter(answers.readline, "\n")]

        yield run


def _naming_programs() -> list[str]:
    return [f"{program}\n{_NAMES}" for program in _PROGRAMS_WITH_MORE]


@pytest.fixture(scope="module")
def with_tfx(run_programs: Run) -> tuple[list[str], bool, list[Any]]:
    """After TFX was loaded as usual: its dependencies, whether it is kept, and the names that programs see."""
    dependencies, is_kept, *names = run_programs(_LOAD_TFX, _DEPENDENCIES, _IS_KEPT, *_naming_programs())
    return dependencies, is_kept, names


@pytest.mark.slow
def test_fn_args_load_without_the_rest_of_tfx(run_programs: Run) -> None:
    heavy = "import sys; result = [name in sys.modules for name in ('kubernetes', 'nltk', 'keras_tuner')]"
    missing = "import tfx\ntry: tfx.nothing\nexcept AttributeError as error: result = str(error)"
    alone, nothing, *imported = run_programs(
        _LOAD_ALONE, f"from {_ARGUMENTS} import FnArgs; {heavy}", missing, *(_FIRST + line + _SAME for line in _IMPORTS)
    )
    assert alone == [False, False, False]
    assert nothing == "module 'tfx' has no attribute 'nothing'"
    assert imported == [[True, _ARGUMENTS]] * len(_IMPORTS)


@pytest.mark.slow
def test_later_imports_get_the_whole_package(run_programs: Run, with_tfx: tuple[list[str], bool, list[Any]]) -> None:
    dependencies, _, expected_names = with_tfx
    imports = [_FIRST + line + _SAME for line in _IMPORTS_OF_ALL]
    results = run_programs(_LOAD_ALONE, *imports, *_naming_programs(), loaded=dependencies)
    assert results[: len(imports)] == [[True, _ARGUMENTS]] * len(imports)
    for program, names, expected in zip(_PROGRAMS_WITH_MORE, results[len(imports) :], expected_names, strict=True):
        assert isinstance(names, dict), names
        assert names == expected, program


@pytest.mark.slow
def test_a_loaded_package_is_not_replaced(with_tfx: tuple[list[str], bool, list[Any]]) -> None:
    _, is_kept, _ = with_tfx
    assert is_kept is True
