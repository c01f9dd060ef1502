"""A forked child exits as a Python program does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

_FORKED = f"""
import atexit, os, sys
sys.path.insert(0, {str(ROOT)!r})
from components.processes import children
atexit.register(print, "the parent")
child = os.fork()
if not child:
    children.leave_after(lambda: exec(sys.argv[1]))
atexit.unregister(print)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(
    ("code", "status", "printed"),
    [
        ("print('done')", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit(-1)", 255, ""),
        ("sys.exit('no model')", 1, "no model\n"),
        ("sys.exit(('no', 2))", 1, "('no', 2)\n"),
    ],
)
def test_a_child_exits_as_python_does(code: str, status: int, printed: str) -> None:
    for program in ([_FORKED, code], [f"import sys; {code}"]):
        result = subprocess.run([sys.executable, "-c", *program], capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (status, printed)
        assert "the parent" not in result.stdout


def test_a_child_that_fails_prints_the_traceback() -> None:
    result = subprocess.run([sys.executable, "-c", _FORKED, "1 / 0"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr.splitlines()[-1]) == (1, "ZeroDivisionError: division by zero")


def test_a_child_runs_its_own_exit_handlers_but_not_its_parents() -> None:
    program = [_FORKED, "import atexit; atexit.register(print, 'the child', file=sys.stderr); atexit._run_exitfuncs()"]
    result = subprocess.run([sys.executable, "-c", *program], capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("", "the child\n")
