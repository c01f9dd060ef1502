"""The container's command: `python -m components <stage> --executor-input '<ExecutorInput JSON>' [--modules JSON]`.

`fused` as the stage, with `--plan JSON`, runs several stages: see `components.fused.plan`.

Exit status: 0 success; 1 the machine or a service failed, or a bug; 2 the input, a setting or the user's code.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.contract.errors import TaxiwayError, UserError
from components.execution import stages
from components.execution.executor import execute
from components.fused import execution, plan
from components.reports import stage_report
from components.user_code import user_modules

TERMINATION_LOG = Path("/dev/termination-log")
"""The file from which Kubernetes reads a container's termination message."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one stage and returns the exit status."""
    # Linux limits an argument to 128 KiB: a longer one is passed in a file, as `@<file>`.
    parser = argparse.ArgumentParser(prog="python -m components", description=__doc__, fromfile_prefix_chars="@")
    parser.add_argument("stage", help=f"one of {', '.join(stages.names())}")
    parser.add_argument("--executor-input", required=True, metavar="JSON", help="the ExecutorInput document")
    parser.add_argument("--modules", default="", metavar="JSON", help="the source code of the user's modules, by path")
    parser.add_argument("--plan", default="", metavar="JSON", help=f"the stages that {plan.NAME!r} runs")
    options = parser.parse_args(arguments)
    # The user's modules are imported from the working folder, as with `python -m`.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return _told(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    if options.modules:
        user_modules.unpack(options.modules)
    document = _document(options.executor_input)
    if options.stage == plan.NAME:
        return execution.run(plan.read(options.plan), document, _run_stage)
    _execute(options.stage, document)
    return 0


def _run_stage(stage: str, executor_input: dict[str, Any]) -> int:
    def work() -> int:
        _execute(stage, executor_input)
        return 0

    return _told(work)


def _execute(name: str, executor_input: dict[str, Any]) -> None:
    stage = stages.load(name)
    execute(stage.function, executor_input, stage_report.writer(stage) if stage.has_report else None)


def _told(work: Callable[[], int]) -> int:
    """Returns the exit status of some work, and prints why it failed."""
    try:
        return work()
    except TaxiwayError as error:
        _last_words(str(error))
        return error.exit_status
    except Exception as error:
        traceback.print_exc()
        _last_words(f"{type(error).__name__}: {error}")
        return 1


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UserError(f"--executor-input is not JSON: {error}", fix="pass an ExecutorInput document") from error
    if not isinstance(document, dict):
        raise UserError(f"--executor-input is not a JSON object: {text[:80]}", fix="pass an ExecutorInput document")
    return document


def _last_words(text: str) -> None:
    print(f"error: {text}", file=sys.stderr, flush=True)
    if TERMINATION_LOG.exists() and os.access(TERMINATION_LOG, os.W_OK):
        TERMINATION_LOG.write_text(text[-4096:])


def _with_ordered_sets() -> None:
    """Restarts Python if hash randomization is on: what a user's module builds from a set must not vary by run."""
    if os.environ.setdefault("PYTHONHASHSEED", "0") == "0" and sys.flags.hash_randomization:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


if __name__ == "__main__":
    _with_ordered_sets()
    sys.exit(main())
