from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.contract.errors import UserError
from components.user_code import user_modules

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder on the Python path; modules imported from it are unloaded after the test."""
    before = dict(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name in set(sys.modules) - set(before):
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None) or sys.modules[name].__dict__):
            del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def write(project: Path) -> Write:
    """`write(name, source)` writes a file of the project."""

    def run(name: str, source: str) -> Path:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        return path

    return run


def digest(module: str = "model.py", function: str = "run_fn") -> str:
    return user_modules.describe(module, function)["digest"]


# Finding modules


@pytest.mark.parametrize("name", ["taxi.model", "taxi/model.py"])
@pytest.mark.parametrize("package", [True, False])
def test_a_module_is_found_by_import_path_and_by_file(write: Write, name: str, package: bool) -> None:
    path = write("taxi/model.py", "raise AssertionError('run')")
    if package:
        write("taxi/__init__.py", "raise AssertionError('run')")
    assert user_modules.source_file(name) == path


def test_a_package_takes_precedence_over_a_module(write: Write) -> None:
    write("taxi.py", "")
    path = write("taxi/__init__.py", "")
    assert user_modules.source_file("taxi") == path
    __import__("taxi")
    assert sys.modules["taxi"].__file__ == str(path)


@pytest.mark.parametrize("name", ["", "nosuch", "nosuch.model", "nosuch.py", "taxi model", "../taxi", ".model", "a..b"])
def test_a_missing_module_is_named(project: Path, name: str) -> None:
    message = f"(?s)the module {name!r} was not found in {project} or on the Python path.*use an import path"
    for use in (user_modules.source_file, user_modules.functions, user_modules.load_module):
        with pytest.raises(UserError, match=message):
            use(name)


# Digests


MODULE = '''
import os
from helpers import scale

RATE = 0.1
NAMES, OTHER = ["a"], 3

def _clip(x):
    return min(x, OTHER)

def preprocessing_fn(inputs):
    """Scales."""
    return {k: scale(v) for k, v in inputs.items()}

def run_fn(fn_args):
    rate = RATE
    return _clip(rate)
'''


def test_the_digest_of_a_function_covers_only_what_it_uses(write: Write) -> None:
    write("helpers.py", "def scale(x): return x")
    write("model.py", MODULE)
    before = {name: digest(function=name) for name in ("preprocessing_fn", "run_fn")}
    for change, changed in [
        (("return _clip(rate)", "return _clip(rate + 1)"), {"run_fn"}),
        (("RATE = 0.1", "RATE = 0.2"), {"run_fn"}),
        (("min(x, OTHER)", "max(x, OTHER)"), {"run_fn"}),
        (("scale(v)", "scale(k)"), {"preprocessing_fn"}),
        (("import os", "import json as os"), {"preprocessing_fn", "run_fn"}),
        (('["a"], 3', '["a"], 4'), {"preprocessing_fn", "run_fn"}),
        (("rate = RATE", "rate  =  RATE  # a comment"), set()),
    ]:
        assert change[0] in MODULE
        write("model.py", MODULE.replace(*change))
        after = {name: digest(function=name) for name in before}
        assert {name for name in before if after[name] != before[name]} == changed, change
    write("model.py", MODULE)
    assert {name: digest(function=name) for name in before} == before


def test_the_record_of_a_module_has_its_path_and_digest(write: Write) -> None:
    path = write("model.py", "def run_fn(fn_args): ...\n")
    described = user_modules.describe("model", "run_fn")
    assert described["name"] == "model"
    assert described["function"] == "run_fn"
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", described[key]) for key in ("digest", "file_digest"))
    path.write_text(path.read_text() + "# a comment\n")
    again = user_modules.describe("model", "run_fn")
    assert again["digest"] == described["digest"]
    assert again["file_digest"] != described["file_digest"]


@pytest.mark.parametrize(
    "source",
    [
        # A function that no name refers to, such as a lambda.
        "STEPS = []\ndef step(f):\n STEPS.append(f)\n return f\n@step\ndef a(x): return 1\ndef run_fn(x): STEPS[0](x)",
        "STEPS = []\ndef a(x): return 1\n_ = STEPS.append(a)\ndef run_fn(x): STEPS[0](x)",
        "class Base: ...\nclass A(Base):\n def a(self): return 1\ndef run_fn(x): Base.__subclasses__()",
        "def a(): return 1\ndef b(x, *, y=print(a())): ...\ndef run_fn(x): ...",
        "def a(): return 1\nif True:\n b = a\ndef run_fn(x): b()",
        "def a(): return 1\nclass C:\n b = a\ndef run_fn(x): C.b()",
        "def a(): return 1\ndef run_fn(x): globals()['a']()",
        "import sys\ndef a(): return 1\ndef run_fn(x): sys.modules[__name__].a()",
        "def a(): return 1\nB = (A := 2, a)\ndef run_fn(x): return A",
        "try:\n def run_fn(x): return 1\nexcept ImportError: ...",
        "def run_fn(x): return 2\ndef run_fn(x): return 1",
        "def a(): return 1\nrun_fn = a",
        "import functools\ndef a(n, x): return 1\nrun_fn = functools.partial(a, 3)",
        "run_fn = lambda x: 1",
        "async def a(): return 1\nx: object = a\nasync def run_fn(y): x",
    ],
)
def test_digests_cover_indirect_uses(write: Write, source: str) -> None:
    write("model.py", source)
    before = digest()
    assert source.count("1") == 1
    write("model.py", source.replace("1", "7"))
    assert digest() != before


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import helpers", "helpers.py"),
        ("from helpers import a", "helpers.py"),
        ("from helpers import *", "helpers.py"),
        ("import pack.inner", "pack/inner.py"),
        ("import pack.inner", "pack/__init__.py"),
        ("import pack.inner as i", "pack/__init__.py"),
        ("from pack import inner", "pack/inner.py"),
        ("from pack.inner import a", "pack/__init__.py"),
        ("def run_fn(x):\n import helpers", "helpers.py"),
        ("import first", "helpers.py"),
        ("import importlib\nimportlib.import_module('helpers')", "helpers.py"),
        ("from importlib import import_module\nimport_module('pack.inner')", "pack/inner.py"),
        ("__import__('helpers')", "helpers.py"),
    ],
)
def test_imported_user_modules_change_the_digest(write: Write, source: str, name: str) -> None:
    write("model.py", source + "\ndef run_fn(x): ...")
    write("first.py", "import helpers")
    write("pack/inner.py", "")
    write("pack/__init__.py", "")
    write(name, "a = 1")
    before = digest()
    write(name, "a = 2")
    assert digest() != before
    assert digest("model") != before


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from . import helpers", "taxi/helpers.py"),
        ("from .helpers import a", "taxi/helpers.py"),
        ("from . import a", "taxi/__init__.py"),
        ("from .. import a", "__init__.py"),
        ("from ..common import a", "common.py"),
    ],
)
def test_relative_imports_change_the_digest(write: Write, source: str, name: str) -> None:
    for file in ("__init__.py", "taxi/__init__.py", "taxi/helpers.py", "common.py"):
        write(f"pipes/{file}", "a = 1")
    write("pipes/taxi/model.py", source + "\ndef run_fn(x): ...")
    before = digest("pipes.taxi.model")
    write(f"pipes/{name}", "a = 2")
    assert digest("pipes.taxi.model") != before


def test_modules_that_import_each_other_have_digests(write: Write) -> None:
    write("model.py", "import helpers\ndef run_fn(x): ...")
    write("helpers.py", "import model\nfrom ....... import beyond")
    assert digest() == digest()


def test_neither_python_nor_installed_libraries_are_read(write: Write, project: Path) -> None:
    write("model.py", "import json, re, numpy\nimport tensorflow as tf\nimport mine\ndef run_fn(x): ...")
    write("site-packages/mine.py", "a = 1")
    sys.path.append(str(project / "site-packages"))
    before = digest()
    write("site-packages/mine.py", "this is no Python")
    assert digest() == before


def test_stats_options_updater_fn_changes_the_digest_of_transform(write: Write) -> None:
    source = "def preprocessing_fn(x): ...\ndef stats_options_updater_fn(kind, options): return 1\ndef run_fn(x): ..."
    write("model.py", source)
    before = digest(function="preprocessing_fn"), digest()
    write("model.py", source.replace("1", "2"))
    assert digest(function="preprocessing_fn") != before[0]
    assert digest() == before[1]


def test_a_byte_order_mark_and_line_endings_do_not_change_the_digest(write: Write) -> None:
    write("model.py", "def run_fn(x):\n    return 1\n")
    before = digest()
    Path("model.py").write_bytes(b"\xef\xbb\xbfdef run_fn(x):\r\n    return 1\r\n")
    assert digest() == before


def test_a_source_that_is_not_utf_8_is_refused(project: Path) -> None:
    (project / "model.py").write_bytes(b"# caf\xe9\ndef run_fn(x): ...")
    with pytest.raises(UserError, match=r"(?s)model.py is not UTF-8.*save it as UTF-8"):
        user_modules.describe("model.py", "run_fn")


@pytest.mark.parametrize("broken", ["model.py", "helpers.py"])
def test_a_syntax_error_names_file_line_and_text(write: Write, project: Path, broken: str) -> None:
    write("model.py", "import helpers\ndef run_fn(x): ...")
    write("helpers.py", "")
    write(broken, "a = 1\ndef run_fn(:\n    pass")
    with pytest.raises(UserError) as raised:
        user_modules.describe("model.py", "run_fn")
    assert str(raised.value) == f'syntax error: invalid syntax\n  File "{project}/{broken}", line 2\n    def run_fn(:'


# Names


def test_the_names_that_a_module_binds(write: Write) -> None:
    write("base.py", "from other import *\ndef inherited(): ...")
    write("other.py", "from base import *\nclass Far: ...")
    write(
        "model.py",
        "import os.path\nimport numpy as np\nfrom json import dumps\nfrom base import *\na, (b, *c) = 1, (2, 3)\n"
        "if a:\n def run_fn(x): hidden = 1\nelse:\n run_fn = None\n"
        "try:\n import fast\nexcept ImportError:\n fast = None\n"
        "with open(a) as file: pass\nfor i in c: pass\nd: int = 3\nclass Kept:\n inner = 1\n",
    )
    bound = {"os", "np", "dumps", "a", "b", "c", "run_fn", "fast", "file", "i", "d", "Kept", "inherited", "Far"}
    assert user_modules.functions("model.py") - {"*"} == bound


# Loading and calling


def test_a_function_is_loaded_and_called(write: Write) -> None:
    write("taxi/model.py", "def run_fn(a, *, b): return a + b")
    for module in ("taxi/model.py", "taxi.model"):
        assert user_modules.call(user_modules.load(module, "run_fn"), 1, b=2) == 3


def test_a_module_by_file_can_import_its_neighbours(write: Write) -> None:
    write("taxi/helpers.py", "value = 5")
    write("taxi/model.py", "def run_fn():\n import helpers\n return helpers.value")
    assert user_modules.load("taxi/model.py", "run_fn")() == 5


def test_a_local_folder_takes_precedence_over_an_installed_package(write: Write) -> None:
    write("tfx/model.py", "def run_fn(): return 'mine'")
    assert user_modules.load("tfx.model", "run_fn")() == "mine"


@pytest.mark.parametrize(
    ("source", "available"),
    [
        ("def other(): ...\ndef _hidden(): ...", "it has other"),
        ("a = 1", "it has no functions"),
        ("run_fn = 3", "it has"),
    ],
)
def test_a_missing_function_is_named(write: Write, source: str, available: str) -> None:
    path = write("model.py", source)
    with pytest.raises(UserError, match=f"(?s){path} defines no run_fn.*define run_fn there .{available}"):
        user_modules.load("model.py", "run_fn")


def test_a_module_that_raises_shows_the_users_lines_only(write: Write) -> None:
    helpers = write("common/helpers.py", "def scale(x):\n    return {}[x]\n")
    path = write(
        "taxi/model.py", "from common import helpers\n\ndef run_fn(x):\n    return sorted([x], key=helpers.scale)\n"
    )
    for module in ("taxi.model", "taxi/model.py"):
        with pytest.raises(UserError) as raised:
            user_modules.call(user_modules.load(module, "run_fn"), "fare")
        assert str(raised.value).splitlines() == [
            "model.py raised KeyError: 'fare'",
            f'  File "{path}", line 4, in run_fn',
            "    return sorted([x], key=helpers.scale)",
            f'  File "{helpers}", line 2, in scale',
            "    return {}[x]",
        ]


def test_a_module_that_raises_on_import_is_reported(write: Write) -> None:
    path = write("model.py", "import nosuch_library\n")
    for module in ("model", "model.py"):
        with pytest.raises(UserError) as raised:
            user_modules.load(module, "run_fn")
        assert str(raised.value).splitlines() == [
            "model.py raised ModuleNotFoundError: No module named 'nosuch_library'",
            f'  File "{path}", line 1, in <module>',
            "    import nosuch_library",
        ]
        assert "model" not in sys.modules


def test_a_syntax_error_at_import_names_file_and_line(write: Write) -> None:
    path = write("model.py", "def run_fn(:\n")
    with pytest.raises(UserError) as raised:
        user_modules.load("model.py", "run_fn")
    assert str(raised.value).startswith("syntax error: ")
    assert f'File "{path}", line 1' in str(raised.value)


@pytest.mark.parametrize("ending", ["sys.exit(0)", "sys.exit()", "raise SystemExit('stop')"])
def test_a_module_that_exits_the_process_is_a_failure(write: Write, ending: str) -> None:
    write("model.py", f"import sys\ndef run_fn():\n    {ending}\n")
    with pytest.raises(UserError, match=f"(?s)model.py raised SystemExit.*{re.escape(ending)}"):
        user_modules.call(user_modules.load("model.py", "run_fn"))


def test_errors_of_taxiway_are_raised_unchanged(write: Write) -> None:
    write(
        "model.py", "from components.contract.errors import UserError\ndef run_fn(): raise UserError('said', fix='so')"
    )
    with pytest.raises(UserError, match=r"^said\n  fix: so$"):
        user_modules.call(user_modules.load("model.py", "run_fn"))


@pytest.mark.parametrize(
    "source",
    [
        "class Run:\n    def __call__(self): raise ValueError('here')\nrun_fn = Run()",
        "import functools\ndef run(x): raise ValueError('here')\nrun_fn = functools.partial(run, 1)",
        "import contextlib\n@contextlib.contextmanager\ndef quietly(): yield\n"
        "@quietly()\ndef run_fn(): raise ValueError('here')",
        "import functools\n@functools.lru_cache\ndef run_fn(): raise ValueError('here')",
    ],
)
def test_any_callable_can_be_named(write: Write, source: str) -> None:
    write("model.py", source)
    with pytest.raises(UserError, match=r"(?s)raised ValueError: here.*model.py\", line [235]"):
        user_modules.call(user_modules.load("model.py", "run_fn"))


def test_a_builtin_can_be_called() -> None:
    with pytest.raises(UserError, match="raised ValueError: "):
        user_modules.call(math.sqrt, -1)


def test_tensorflows_rewritten_functions_end_in_the_users_line(write: Write) -> None:
    path = write(
        "model.py",
        "import tensorflow as tf\n\n@tf.function\ndef step(x):\n    if x > 0:\n        raise ValueError('here')\n"
        "    return x\n\ndef run_fn():\n    return step(tf.constant(1))\n",
    )
    with pytest.raises(UserError) as raised:
        user_modules.call(user_modules.load("model.py", "run_fn"))
    assert "autograph_generated" not in str(raised.value)
    assert f'File "{path}", line 10, in run_fn' in str(raised.value)
    assert f'File "{path}", line 6' in str(raised.value)


def test_describing_is_quick_and_loads_nothing(write: Write) -> None:
    write("model.py", "import tensorflow as tf, tensorflow_transform as tft\ndef run_fn(x): ...")
    code = "import sys, time\nfrom components.user_code import user_modules\nstart = time.perf_counter()\n"
    code += "user_modules.describe('model.py', 'run_fn'); user_modules.functions('model.py')\n"
    code += "assert time.perf_counter() - start < 0.3\nprint([m for m in ('tensorflow', 'numpy') if m in sys.modules])"
    checkout = Path(user_modules.__file__).parents[2]
    result: Any = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(checkout)}
    )
    assert result.stdout == "[]\n"


def test_imports_are_the_dotted_names_of_a_module_and_the_packages_above(tmp_path: Path) -> None:
    module = tmp_path / "model.py"
    module.write_text("import numpy as np\nfrom tfx.components.trainer import fn_args_utils\nfrom . import beside\n")
    imports = user_modules.imports(str(module))
    assert {"numpy", "tfx", "tfx.components", "tfx.components.trainer"} <= imports
    assert "beside" not in imports


def test_a_taxiway_checkout_in_the_working_folder_is_not_user_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an image, Taxiway's package is elsewhere, and the working folder may contain another copy."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("from components.trainer.fn_args import FnArgs\n\ndef run_fn(args): ...\n")
    before = user_modules.describe("mine", "run_fn")
    for name in ("__init__.py", "contract/artifacts.py", "trainer/__init__.py", "trainer/fn_args.py"):
        (tmp_path / "components" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "components" / name).write_text("FnArgs = None\n")
    assert user_modules.describe("mine", "run_fn") == before
    assert set(json.loads(user_modules.packed(["mine"]))) == {"mine.py"}
