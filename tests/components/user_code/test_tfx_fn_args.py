"""What a program sees of TFX and TFMA must not depend on whether `fn_args_utils` was loaded alone before."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_APART = "import components.user_code.tfx_fn_args"
_AS_EVER = "import tfx.components.trainer.fn_args_utils"
_ARGUMENTS = "tfx.components.trainer.fn_args_utils"
# Forks a child for each program, so that TensorFlow and the other named modules are imported once.
_PROGRAMS = """
import contextlib, importlib, json, os, sys, traceback
import tensorflow, tensorflow_data_validation
loaded, prelude, *programs = json.load(sys.stdin)
for name in loaded:
    with contextlib.suppress(Exception):
        importlib.import_module(name)
exec(prelude)
for program in programs:
    if os.fork() == 0:
        try:
            found = {}
            exec(program, found)
            print(json.dumps(found["said"]), flush=True)
        except BaseException:
            print(json.dumps(traceback.format_exc()), flush=True)
        os._exit(0)
    os.wait()
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


def said(prelude: str, *programs: str, loaded: Sequence[str] = ()) -> list[Any]:
    command = [sys.executable, "-c", _PROGRAMS]
    root = Path(__file__).parents[3]
    given = json.dumps([loaded, prelude, *programs])
    done = subprocess.run(command, input=given, capture_output=True, text=True, cwd=root, check=True)
    return list(map(json.loads, done.stdout.splitlines()))


def test_fn_args_are_imported_without_heavy_modules() -> None:
    heavy = "import sys; said = [name in sys.modules for name in ('kubernetes', 'nltk', 'keras_tuner')]"
    missing = "import tfx\ntry: tfx.nothing\nexcept AttributeError as error: said = str(error)"
    alone, nothing, *found = said(
        _APART, f"from {_ARGUMENTS} import FnArgs; {heavy}", missing, *(_FIRST + way + _SAME for way in _WAYS)
    )
    assert alone == [False, False, False]
    assert nothing == "module 'tfx' has no attribute 'nothing'"
    assert found == [[True, _ARGUMENTS]] * len(_WAYS)


def test_other_attributes_import_the_whole_package() -> None:
    programs = [f"{program}\n{_SEEN}" for program in _MORE]
    around, *as_ever = said(_AS_EVER, _AROUND, *programs)
    ways = [_FIRST + way + _SAME for way in _WAYS_BY_THE_WHOLE]
    apart = said(_APART, *ways, *programs, loaded=around)
    assert apart[: len(ways)] == [[True, _ARGUMENTS]] * len(ways)
    for program, found, expected in zip(_MORE, apart[len(ways) :], as_ever, strict=True):
        assert isinstance(found, dict), found
        assert found == expected, program


def test_an_imported_package_is_not_replaced() -> None:
    program = (
        f"import sys; first = sys.modules['tfx.components']; {_APART}; said = sys.modules['tfx.components'] is first"
    )
    assert said("import tfx.components", program) == [True]
