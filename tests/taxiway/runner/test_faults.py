"""A run fails with a reason for an exception at any point in its threads, and no interrupt is ignored."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import psutil
import pytest
from kfp import dsl

import taxiway
from taxiway import loading
from taxiway.dsl import Baseline
from taxiway.runner.call import State
from taxiway.runs.progress import Observer
from taxiway.runs.record import RunFailedError
from tests.components.engines import until

CODE = str(Path(taxiway.__file__).parent)


class InjectedError(Exception):
    pass


KINDS: list[type[BaseException]] = [InjectedError, SystemExit, MemoryError, RecursionError, KeyboardInterrupt]


# Functions that get no fault: the handler of a thread's exceptions itself, and threads that are not waited for.
SPARED = ("settle.<locals>.work", "_Server._listen", "_Server.join")


@dsl.container_component
def write(out: dsl.Output[dsl.Dataset], echo: dsl.OutputPath(str), text: str = "a"):  # type: ignore[valid-type]
    script = 'printf %s "$2" > "$0"; printf %s "$2" > "$1"'
    return dsl.ContainerSpec(image="x", command=["sh", "-ec", script], args=[out.path, echo, text])


@dsl.container_component
def read(data: dsl.Input[dsl.Dataset], items: list):
    return dsl.ContainerSpec(image="x", command=["test", "-e"], args=[data.path])


@dsl.container_component
def end(status: dsl.PipelineTaskFinalStatus):
    return dsl.ContainerSpec(image="x", command=["true"])


@dsl.pipeline
def inner(text: str) -> dsl.Dataset:
    return write(text=text).outputs["out"]


@dsl.pipeline(name="everything")
def everything(given: str):
    """A loop, conditions, a sub-pipeline, an importer, a stage, a handler."""
    with dsl.ExitHandler(write(text="end")):
        imported = dsl.importer(artifact_uri=given, artifact_class=dsl.Dataset)
        with dsl.ParallelFor(["a", "b"], parallelism=1) as text:
            written = write(text=f"<{text}>")
            with dsl.If(written.outputs["echo"] != "<b>"):
                inner(text=written.outputs["echo"])
        read(data=imported.output, items=dsl.Collected(written.outputs["echo"]))
        model = dsl.importer(artifact_uri=given, artifact_class=dsl.Model)
        Baseline(candidate=model.output, destination="nothing/pushed")


@pytest.fixture(scope="module")
def compiled() -> Any:
    return loading.compiled(everything)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """A folder that looks like a model."""
    (tmp_path / "given" / "Format-Serving").mkdir(parents=True)
    (tmp_path / "given" / "Format-Serving" / "saved_model.pb").write_bytes(b"model")
    return tmp_path / "given"


@contextmanager
def _traced(trace: Any) -> Iterator[None]:
    """Makes every new thread call `trace(frame, event, argument)` when it enters a function."""
    before = threading.gettrace()
    threading.settrace(trace)
    try:
        yield
    finally:
        threading.settrace(before)


def _run(pipeline: Any, home: Path) -> taxiway.Run:
    return taxiway.run(pipeline, home=home, observer=Observer(), given=str(home.parent / "given"))


def _functions_of_threads(pipeline: Any, home: Path) -> list[CodeType]:
    """Taxiway's functions that the threads of a run call, in the order of their first calls."""
    found: dict[CodeType, None] = {}

    def note(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_filename.startswith(CODE):
            found[frame.f_code] = None

    with _traced(note):
        assert _run(pipeline, home).state == State.SUCCEEDED
    return list(found)


def _run_with_fault(pipeline: Any, home: Path, where: CodeType, kind: type[BaseException]) -> taxiway.Run:
    """A run in which a function raises an exception on its first call in a thread."""
    once = threading.Lock()

    def inject(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code == where and once.acquire(blocking=False):
            raise kind("struck")

    with _traced(inject), pytest.raises(RunFailedError) as caught:
        _run(pipeline, home)
    return caught.value.run


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("given")
@pytest.mark.parametrize(("step", "kinds"), [(24, 1), pytest.param(1, len(KINDS), marks=pytest.mark.faults)])
def test_any_exception_in_a_thread_ends_the_run_with_a_reason(
    compiled: Any, tmp_path: Path, step: int, kinds: int
) -> None:
    functions = [c for c in _functions_of_threads(compiled, tmp_path / "home") if c.co_qualname not in SPARED]
    assert len(functions) > 100
    kind = itertools.cycle(KINDS)
    for number, code in enumerate(functions[::step] * kinds):
        run = _run_with_fault(compiled, tmp_path / f"home-{number}", code, next(kind))
        assert run.state == State.FAILED, code
        assert "struck" in run.error, code


def test_a_run_fails_if_no_thread_can_be_started(
    compiled: Any, given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = threading.Thread.start, itertools.count()

    def refuse(thread: threading.Thread) -> None:
        if next(started) == 3:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RunFailedError, match="can't start new thread"):
        _run(compiled, tmp_path / "home")


def test_a_loop_over_items_of_the_wrong_type_is_refused(tmp_path: Path) -> None:
    @dsl.component(base_image="python:3.13", install_kfp_package=False)
    def one(x: dict) -> str:
        return repr(x)

    @dsl.pipeline(name="loop-struct")
    def over(xs: list[dict] = [{"a": 1}]):
        with dsl.ParallelFor(xs) as x:
            one(x=x)

    with pytest.raises(
        RunFailedError, match="'xs-loop-item' takes a struct, not 'a', which is not JSON: Expecting"
    ) as e:
        taxiway.run(over, home=tmp_path / "home", observer=Observer(), xs=["a"])
    assert e.value.exit_status == 2
    with pytest.raises(RunFailedError, match=r"'xs-loop-item' takes a struct, not \[1\]"):
        taxiway.run(over, home=tmp_path / "home", observer=Observer(), xs=[[1]])


@dsl.container_component
def stubborn(started: str):
    script = 'trap "" INT TERM; touch "$0"; while :; do sleep 0.1; done'
    return dsl.ContainerSpec(image="x", command=["sh", "-c", script], args=[started])


@dsl.pipeline(name="stubborn")
def ignores(started: str):
    stubborn(started=started)


def test_a_second_interrupt_kills_processes_that_ignore_the_first(tmp_path: Path) -> None:
    loading.compile_to(ignores, tmp_path / "stubborn.yaml")
    started = tmp_path / "started"
    command = [sys.executable, "-m", "taxiway", "run", "stubborn.yaml", "--param", f"started={started}"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=_environment(tmp_path))
    assert process.stderr
    try:
        until(started.exists)
        process.send_signal(signal.SIGINT)
        assert any("press Ctrl-C again to kill" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "stubborn canceled" in shown
        until(lambda: not _processes_with(str(started)))
    finally:
        process.kill()


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "TAXIWAY_HOME": str(home / "home")}


def _processes_with(text: str) -> list[int]:
    return [p.pid for p in psutil.process_iter(["cmdline"]) if text in (p.info["cmdline"] or [])]
