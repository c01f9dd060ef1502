"""Looks for what members of a pod made before, and keeps what they make: in children, as object stores need threads.

The pod's process forks its members, so it loads nothing that starts threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.contract.errors import TaxiwayError
from components.fused import keys, report, stage_cache
from components.fused.plan import Member
from components.processes import children

Json = dict[str, Any]

Execute = Callable[[str, Json], int]
"""Runs a stage with an ExecutorInput in this process, says why it failed, and returns its exit status."""

_MISS, _OFF = 3, 4


class Finding:
    """The stage cache of one pod.

    Args:
        place: Its folder or URL; empty for none.
        scratch: A folder for what children tell the pod's process.
    """

    def __init__(self, place: str, scratch: Path) -> None:
        self._place = place
        self._scratch = scratch

    @property
    def is_on(self) -> bool:
        """Whether there is a cache."""
        return bool(self._place)

    def finds(self, member: Member, executor_input: Json) -> bool:
        """Whether the outputs of a member were found; then they are in their places."""
        if not self._concerns(member):
            return False
        # The children share it.
        keys.packages()
        status = children.status(children.fork(lambda: self._look(member, executor_input)))
        if status == _OFF:
            self._place = ""
        return status == 0

    def keeping(self, member: Member, execute: Execute) -> Execute:
        """Executes a member, and keeps what it made."""
        if not self._concerns(member) or not self._parts(member).is_file():
            return execute

        def work(stage: str, executor_input: Json) -> int:
            status = execute(stage, executor_input)
            if status == 0:
                self._keep(member, executor_input)
            return status

        return work

    def _concerns(self, member: Member) -> bool:
        return self.is_on and member.cached

    def _look(self, member: Member, executor_input: Json) -> None:
        began = time.monotonic()
        try:
            parts = keys.parts(member, executor_input)
        except (TaxiwayError, OSError):
            # The stage says so itself.
            raise SystemExit(_MISS) from None
        self._parts(member).write_text(json.dumps(parts))
        try:
            is_found = stage_cache.find(self._place, parts, executor_input)
        except Exception as error:
            print(f"    no stage cache: {self._place}: {type(error).__name__}: {error}", flush=True)
            raise SystemExit(_OFF) from None
        if not is_found:
            raise SystemExit(_MISS)
        print(report.cached(member.name, time.monotonic() - began), flush=True)

    def _keep(self, member: Member, executor_input: Json) -> None:
        try:
            stage_cache.keep(self._place, json.loads(self._parts(member).read_text()), executor_input)
        except Exception as error:
            # What it made is there all the same.
            print(f"    not kept in the stage cache: {self._place}: {type(error).__name__}: {error}", flush=True)
        else:
            self._clean()

    def _clean(self) -> None:
        try:
            if removed := stage_cache.clean(self._place):
                print(
                    f"    {removed} old {'entry' if removed == 1 else 'entries'} removed from the stage cache",
                    flush=True,
                )
        except Exception as error:
            print(f"    stage cache not cleaned: {self._place}: {type(error).__name__}: {error}", flush=True)

    def _parts(self, member: Member) -> Path:
        return self._scratch / f"{member.name}.parts.json"
