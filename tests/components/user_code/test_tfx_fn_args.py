"""What a program sees of TFX and TFMA must not depend on whether `fn_args_utils` was loaded alone before."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

_APART = "import components.user_code.tfx_fn_args"
_AS_EVER = "import tfx.components.trainer.fn_args_utils"
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
        forked(say, program)

def say(program):
    try:
        found = {}
        exec(program, found)
        print(json.dumps(found["said"]), flush=True)
    except BaseException:
        print(json.dumps(traceback.format_exc()), flush=True)

for line in sys.stdin:
    forked(load, *json.loads(line))
    print(flush=True)
"""
_SEEN = """
import sys
said = {
    package: [[name, repr(type(value)), getattr(value, "__module__", "")]
              for name, value in sorted(vars(sys.modules[package]).items()) if not name.startswith("__")]
    for package in ("tfx.components", "tensorflow_model_analysis")
}
"""
# The packages of others that TFX and TFMA load, which takes most of their import time.
_AROUND = """
import sys, tensorflow_model_analysis
said = [name for name in sys.modules if name.partition(".")[0] not in ("tfx", "tensorflow_model_analysis")]
"""
_STAYS = f"import sys; first = sys.modules['tfx.components']; {_APART}; said = sys.modules['tfx.components'] is first"
_MORE = [
    "import tfx.components, tensorflow_model_analysis",
    "import tensorflow_model_analysis.metrics",
    "from tensorflow_model_analysis.sdk import EvalConfig",
    "from tfx.components.trainer.executor import GenericExecutor",
    "from tfx import v1 as tfx; import tensorflow_model_analysis as tfma; tfma.sdk.EvalConfig, tfma.EvalConfig",
]


_FIRST = f"import sys; first = sys.modules['{_ARGUMENTS}']\n"
_SAME = "\nsaid = [found is first, found.FnArgs.__module__]"
_WAYS = [
    "import tfx.components.trainer.fn_args_utils as found",
    "import tfx.components.trainer.fn_args_utils; found = tfx.components.trainer.fn_args_utils",
    "from tfx.components.trainer import fn_args_utils as found",
]
_WAYS_BY_THE_WHOLE = [
    "import tfx.components as components; found = components.trainer.fn_args_utils",
    "import sys; from tfx import v1 as tfx; found = sys.modules[tfx.components.FnArgs.__module__]",
]


Said = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def said() -> Iterator[Said]:
    """`said(prelude, *programs, loaded=[])`: what each program says, in a process of its own, after the prelude."""
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAMS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        requests, answers = process.stdin, process.stdout
        assert requests and answers

        def ask(prelude: str, *programs: str, loaded: Sequence[str] = ()) -> list[Any]:
            print(json.dumps([loaded, prelude, *programs]), file=requests, flush=True)
            return [json.loads(line) for line in iter(answers.readline, "\n")]

        yield ask


@pytest.fixture(scope="module")
def as_ever(said: Said) -> tuple[list[str], bool, list[Any]]:
    """Where the whole was loaded first: the packages around it, whether it stays, and what programs see."""
    around, stays, *seen = said(_AS_EVER, _AROUND, _STAYS, *(f"{program}\n{_SEEN}" for program in _MORE))
    return around, stays, seen


def test_the_arguments_come_alone(said: Said) -> None:
    heavy = "import sys; said = [name in sys.modules for name in ('kubernetes', 'nltk', 'keras_tuner')]"
    missing = "import tfx\ntry: tfx.nothing\nexcept AttributeError as error: said = str(error)"
    alone, nothing, *found = said(
        _APART, f"from {_ARGUMENTS} import FnArgs; {heavy}", missing, *(_FIRST + way + _SAME for way in _WAYS)
    )
    assert alone == [False, False, False]
    assert nothing == "module 'tfx' has no attribute 'nothing'"
    assert found == [[True, _ARGUMENTS]] * len(_WAYS)


@pytest.mark.slow
def test_whoever_asks_for_more_gets_the_whole(said: Said, as_ever: tuple[list[str], bool, list[Any]]) -> None:
    around, _, seen = as_ever
    ways = [_FIRST + way + _SAME for way in _WAYS_BY_THE_WHOLE]
    apart = said(_APART, *ways, *(f"{program}\n{_SEEN}" for program in _MORE), loaded=around)
    assert apart[: len(ways)] == [[True, _ARGUMENTS]] * len(ways)
    for program, found, expected in zip(_MORE, apart[len(ways) :], seen, strict=True):
        assert isinstance(found, dict), found
        assert found == expected, program


@pytest.mark.slow
def test_what_is_there_already_stays(as_ever: tuple[list[str], bool, list[Any]]) -> None:
    _, stays, _ = as_ever
    assert stays is True
