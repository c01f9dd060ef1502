"""What a forked child does to run another program and exit like Python."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Asks the kernel to kill this process when its parent dies (Linux only; elsewhere the parent must do it)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def fork(program: Callable[[], object]) -> int:
    """Runs a program in a child, which dies with this process; returns the child's id."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:

        def guarded() -> None:
            die_with(parent)
            program()

        leave_after(guarded)
    return pid


def status(pid: int) -> int:
    """Waits for a child, and returns its exit status; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def leave_after(program: Callable[[], object]) -> NoReturn:
    """Runs a program and exits as Python would, without running any of the parent's exit handlers."""
    # A program that runs its exit handlers would run the parent's, which remove its temporary folders.
    atexit._clear()
    status = 1
    try:
        program()
        status = 0
    except SystemExit as ended:
        status = _status(ended.code)
    except BaseException:
        traceback.print_exc()
    finally:
        # If the disk is full, the error must not return control to the parent's code.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _status(code: object) -> int:
    """The exit status for the argument of `sys.exit`; anything but a number or None is printed to standard error."""
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1
