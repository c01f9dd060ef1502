"""Whole runs on shell containers: caching, resuming, killing, parallel runs, interrupting."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from kfp import dsl

import taxiway
from components.contract.digests import tree_digest
from components.execution.provenance import COMMIT_VARIABLE
from taxiway import loading
from taxiway.runner.call import State
from taxiway.runs.progress import Observer
from taxiway.runs.record import Run, RunFailedError
from taxiway.storage.home import Home
from tests.components.fused.test_conditions import CODE_LIKE
from tests.taxiway.chain_pipeline import chain, source, step

STEPS = 11


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(scope="module")
def pipeline() -> Any:
    return loading.compiled(chain)


def _run(pipeline: Any, home: Path, **options: Any) -> Run:
    return taxiway.run(pipeline, home=home, observer=Observer(), **options)


def _states(run: Run) -> dict[State, int]:
    states = [task.state for task in run.tasks.values()]
    return {state: states.count(state) for state in set(states)}


def _digests(run: Run) -> dict[str, str]:
    return {name: tree_digest(artifact.path) for name, artifact in run.artifacts.items()}


def test_a_second_run_is_all_cache_hits(pipeline: Any, home: Path) -> None:
    first = _run(pipeline, home)
    assert _states(first) == {State.SUCCEEDED: STEPS}
    steps = "".join(f"step {number}\n" for number in range(1, 10))
    assert first.artifacts["step-10.out"].path.read_text() == f"hello first second\n{steps}"
    second = _run(pipeline, home)
    assert _states(second) == {State.CACHED: STEPS}
    assert _digests(second) == _digests(first)


def test_an_input_that_is_changed_back_is_a_cache_hit(pipeline: Any, home: Path) -> None:
    _run(pipeline, home)
    assert _states(_run(pipeline, home, text="other")) == {State.SUCCEEDED: STEPS}
    assert _states(_run(pipeline, home)) == {State.CACHED: STEPS}


def test_no_cache_runs_everything_and_keeps_the_cache(pipeline: Any, home: Path) -> None:
    _run(pipeline, home)
    assert _states(_run(pipeline, home, use_cache=False)) == {State.SUCCEEDED: STEPS}
    assert _states(_run(pipeline, home)) == {State.CACHED: STEPS}


def test_deleted_outputs_are_made_again_with_the_same_keys(pipeline: Any, home: Path) -> None:
    first = _run(pipeline, home)
    assert len(first.artifacts) == STEPS
    for name, artifact in first.artifacts.items():
        artifact.path.unlink()
        again = _run(pipeline, home)
        assert again.tasks[name.removesuffix(".out")].state == State.SUCCEEDED
        assert _states(again) == {State.SUCCEEDED: 1, State.CACHED: STEPS - 1}
        assert _digests(again) == _digests(first)


def test_an_evicted_chain_is_made_again(pipeline: Any, home: Path) -> None:
    first = _digests(_run(pipeline, home))
    for artifact in _run(pipeline, home).artifacts.values():
        artifact.path.unlink()
    again = _run(pipeline, home)
    assert _states(again) == {State.SUCCEEDED: STEPS}
    assert _digests(again) == first


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.faults)])
def test_a_damaged_output_is_detected_dropped_and_rebuilt(home: Path, count: int) -> None:
    @dsl.pipeline(name="short")
    def short():
        step(data=source(text="hello").outputs["out"], number=1)

    pipeline = loading.compiled(short)
    first, chance = _run(pipeline, home), random.Random(7)
    expected = _digests(first)
    for number in range(count):
        artifact = first.artifacts[chance.choice(sorted(first.artifacts))]
        content, stat = artifact.path.read_bytes(), artifact.path.stat()
        place = chance.randrange(len(content))
        damaged = content[:place] + (bytes([content[place] ^ 8]) + content[place + 1 :] if number % 2 else b"")
        artifact.path.write_bytes(damaged)
        os.utime(artifact.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        again = _run(pipeline, home)
        assert _states(again) == {State.SUCCEEDED: 1, State.CACHED: 1}
        assert _digests(again) == expected


@dsl.container_component
def draw(out: dsl.Output[dsl.Dataset], number: dsl.OutputPath(str)):  # type: ignore[valid-type]
    script = 'head -c 8 /dev/urandom | od -An -tx1 | tee "$0" "$1"'
    return dsl.ContainerSpec(image="x", command=["sh", "-ec", script], args=[out.path, number])


def _drawn(run: Run) -> set[str]:
    """The random numbers of a run; parameter, artifact and log must be equal."""
    tasks = [task for name, task in run.tasks.items() if name.startswith("draw")]
    assert [task.outputs["out"].path.read_text() for task in tasks] == [task.parameters["number"] for task in tasks]
    assert [task.log.read_text() for task in tasks] == [task.parameters["number"] for task in tasks]
    return {str(task.parameters["number"]) for task in tasks}


@pytest.mark.parametrize(("caching", "use_cache"), [(False, True), (True, False)])
def test_without_a_cache_every_iteration_runs(home: Path, caching: bool, use_cache: bool) -> None:
    @dsl.pipeline(name="draws")
    def draws():
        with dsl.ParallelFor([1, 1, 2]):
            draw().set_caching_options(caching)
        # The task `draw-2` has nearly the name of the loop's last iteration, `draw[2]`.
        draw().set_caching_options(caching)
        with dsl.ParallelFor([1, 2, 3]), dsl.ParallelFor([3, 3]):
            draw().set_caching_options(caching)

    compiled = loading.compiled(draws)
    first, second = (_run(compiled, home, use_cache=use_cache) for _ in range(2))
    assert len(_drawn(first)) == len(_drawn(second)) == len(first.tasks) == 10
    assert not _drawn(first) & _drawn(second)


@dsl.container_component
def stamped(out: dsl.Output[dsl.Dataset], text: str = "a", number: int = 1, flags: list = [1], table: dict = {"a": 1}):
    return dsl.ContainerSpec(image="any:1", command=["sh", "-ec", 'echo "$1 $2" > "$0"'], args=[out.path, text, number])


def _stamped_with(environment: dict[str, str], **arguments: Any) -> Any:
    @dsl.pipeline(name="stamped")
    def one() -> None:
        task = stamped(**arguments)
        for name, value in environment.items():
            task.set_env_variable(name, value)

    return loading.compiled(one)


CHANGES: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({}, {"text": "b"}),
    ({}, {"text": ""}),
    ({}, {"text": "a "}),
    ({}, {"number": 2}),
    ({}, {"number": -1}),
    ({}, {"flags": [2]}),
    ({}, {"flags": [1, 1]}),
    ({}, {"flags": ["1"]}),
    ({}, {"table": {"a": 2}}),
    ({}, {"table": {"b": 1}}),
    ({}, {"table": {}}),
    ({"MODE": "1"}, {}),
    ({"MODE": "2"}, {}),
    ({"OTHER": "1"}, {}),
    ({"MODE": "1", "OTHER": "1"}, {}),
]


def test_each_change_is_a_cache_miss_and_each_reversion_a_hit(home: Path) -> None:
    _run(_stamped_with({}), home)
    for environment, arguments in CHANGES:
        changed = _stamped_with(environment, **arguments)
        assert _states(_run(changed, home)) == {State.SUCCEEDED: 1}, (environment, arguments)
        assert _states(_run(changed, home)) == {State.CACHED: 1}, (environment, arguments)
        assert _states(_run(_stamped_with({}), home)) == {State.CACHED: 1}, (environment, arguments)


def test_a_changed_command_or_package_is_a_cache_miss(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = _stamped_with({})
    _run(pipeline, home)
    other = json.loads(json.dumps(pipeline.spec).replace("$1 $2", "$2 $1"))
    assert _states(_run(loading.Pipeline(other), home)) == {State.SUCCEEDED: 1}
    # A shell can start any program, so every package counts.
    (tmp_path / "site/tool-1.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert _states(_run(pipeline, home)) == {State.SUCCEEDED: 1}


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def described(x: int, data: dsl.Output[dsl.Dataset]):
    with open(data.path, "w") as file:
        file.write("the same")
    data.metadata["x"] = x


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def read(data: dsl.Input[dsl.Dataset]) -> int:
    return int(data.metadata["x"])


def test_metadata_are_part_of_an_input(home: Path) -> None:
    @dsl.pipeline(name="metadata")
    def metadata(x: int):
        made = described(x=x).set_caching_options(False)
        read(data=made.outputs["data"])

    compiled = loading.compiled(metadata)
    for x in (1, 2):
        run = _run(compiled, home, x=x)
        assert run.tasks["read"].parameters["Output"] == x
        assert run.tasks["read"].state == State.SUCCEEDED
    # The rebuilt output is the same, although its provenance differs.
    assert _run(compiled, home, x=1).tasks["read"].state == State.CACHED


def test_metrics_without_a_file_are_part_of_an_input(home: Path) -> None:
    @dsl.component(base_image="python:3.13", install_kfp_package=False)
    def measure(x: int, metrics: dsl.Output[dsl.Metrics]):
        metrics.log_metric("accuracy", x / 10)

    @dsl.component(base_image="python:3.13", install_kfp_package=False)
    def tell(metrics: dsl.Input[dsl.Metrics]) -> float:
        return float(metrics.metadata["accuracy"])

    @dsl.pipeline(name="metrics")
    def measured():
        with dsl.ParallelFor([1, 2]) as x:
            tell(metrics=measure(x=x).set_caching_options(False).outputs["metrics"])

    first, again = _run(measured, home), _run(measured, home)
    assert [first.tasks[f"tell[{turn}]"].parameters["Output"] for turn in range(2)] == [0.1, 0.2]
    assert [again.tasks[f"tell[{turn}]"].state for turn in range(2)] == [State.CACHED] * 2


def test_metadata_of_an_importer_are_part_of_an_input(home: Path, tmp_path: Path) -> None:
    (tmp_path / "given.txt").write_text("given\n")

    def imports(x: int) -> Any:
        @dsl.pipeline(name="imports")
        def imported(uri: str):
            given = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, metadata={"x": x})
            read(data=given.output)

        return loading.compiled(imported)

    for x in (1, 2):
        assert _run(imports(x), home, uri=str(tmp_path / "given.txt")).tasks["read"].parameters["Output"] == x
    again = _run(imports(1), home, uri=str(tmp_path / "given.txt"))
    assert again.tasks["read"].state == State.CACHED


def test_a_failure_is_shown_with_its_cause_and_log(home: Path) -> None:
    @dsl.container_component
    def broken(out: dsl.Output[dsl.Dataset]):
        return dsl.ContainerSpec(
            image="x",
            command=["sh", "-c", 'echo half > "$0"; echo "no such table: trips" >&2; exit 3'],
            args=[out.path],
        )

    @dsl.pipeline(name="breaks")
    def breaks() -> None:
        broken()

    with pytest.raises(RunFailedError) as caught:
        _run(breaks, home)
    run = caught.value.run
    assert caught.value.exit_status == 1
    assert "broken ended with exit status 3; its log ends:\n  no such table: trips" in str(caught.value)
    assert "no such table: trips" in run.tasks["broken"].log.read_text()
    assert _leftovers(home) == []


def test_a_retried_task_starts_with_empty_folders(home: Path, tmp_path: Path) -> None:
    @dsl.container_component
    def shaky(out: dsl.Output[dsl.Dataset], counter: str):
        script = 'echo x >> "$1"; echo half >> "$0"; [ "$(wc -l < "$1")" -ge 3 ]'
        return dsl.ContainerSpec(image="x", command=["sh", "-ec", script], args=[out.path, counter])

    @dsl.pipeline(name="retries")
    def retries(counter: str) -> None:
        shaky(counter=counter).set_retry(3)

    run = _run(retries, home, counter=str(tmp_path / "counter"))
    assert (tmp_path / "counter").read_text() == "x\n" * 3
    assert run.artifacts["out"].path.read_text() == "half\n"


def test_an_importer_uses_an_existing_artifact(home: Path, tmp_path: Path) -> None:
    (tmp_path / "given.txt").write_text("given\n")

    @dsl.container_component
    def copy(data: dsl.Input[dsl.Dataset], out: dsl.Output[dsl.Dataset]):
        return dsl.ContainerSpec(image="x", command=["sh", "-ec", 'cp "$0" "$1"'], args=[data.path, out.path])

    @dsl.pipeline(name="imports")
    def imports(uri: str):
        given = dsl.importer(artifact_uri=uri, artifact_class=dsl.Dataset, metadata={"from": "elsewhere"})
        copy(data=given.output)

    run = _run(imports, home, uri=str(tmp_path / "given.txt"))
    assert run.artifacts["out"].path.read_text() == "given\n"
    assert run.tasks["importer"].outputs["artifact"].metadata["from"] == "elsewhere"
    (tmp_path / "given.txt").write_text("changed\n")
    assert _run(imports, home, uri=str(tmp_path / "given.txt")).tasks["copy"].state == State.SUCCEEDED
    with pytest.raises(RunFailedError, match=r"imports .*nowhere, which does not exist"):
        _run(imports, home, uri=str(tmp_path / "nowhere"))


def test_an_output_that_looks_like_code_is_never_executed(home: Path, tmp_path: Path) -> None:
    @dsl.container_component
    def say(text: str, out: dsl.Output[dsl.Artifact], echo: dsl.OutputPath(str)):  # type: ignore[valid-type]
        script = 'printf %s "$2" > "$0"; printf %s "$2" > "$1"'
        return dsl.ContainerSpec(image="x", command=["sh", "-ec", script], args=[out.path, echo, text])

    @dsl.pipeline(name="codelike")
    def codelike(strings: list):
        with dsl.ParallelFor(strings, parallelism=4) as text:
            first = say(text=text)
            with dsl.If(first.outputs["echo"] == "expected"):
                say(text="never")
            say(text=f"{first.outputs['echo']}")

    marker = tmp_path / "executed"
    strings = [text.replace("{marker}", str(marker)) for text in CODE_LIKE]
    run = _run(codelike, home, strings=strings)
    assert not marker.exists()
    assert "say-2[0]" not in run.tasks
    for index, text in enumerate(strings):
        for name in ("say", "say-3"):
            assert run.tasks[f"{name}[{index}]"].outputs["out"].path.read_text() == text


def _leftovers(home: Path) -> list[Path]:
    """Files that belong to no complete artifact and no running run."""
    where = Home(home)
    folders = [folder for folder in where.artifacts.glob("*/*/*") if folder.is_dir()]
    return [*(f for f in folders if not (f / "manifest.json").is_file()), *where.work.glob("*")]


def _run_in_process(home: str, pause: str) -> None:
    """Runs in a separate process, which a test can kill."""
    pipeline = loading.compiled(chain)
    os.setsid()
    taxiway.run(pipeline, home=home, observer=Observer(), pause=pause)


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["taxiway.runs.session", "kfp.compiler", __name__])
    return context


@pytest.mark.timeout(900)
@pytest.mark.parametrize("count", [3, pytest.param(200, marks=pytest.mark.faults)])
def test_kills_at_random_moments_leave_nothing_half_written(
    processes: Any, tmp_path: Path, pipeline: Any, count: int
) -> None:
    chance = random.Random(3)
    expected = _digests(_run(pipeline, tmp_path / "reference", pause="0.02"))
    for number in range(count):
        home = tmp_path / f"killed-{number}"
        process = processes.Process(target=_run_in_process, args=(str(home), "0.02"))
        process.start()
        time.sleep(chance.uniform(0.05, 0.9))
        _kill(process.pid, runner=number % 2 == 0, chance=chance)
        process.join()
        _assert_gone(str(home))
        for artifact in Home(home).artifacts.glob("chain/*/*/out"):
            assert artifact.read_text().endswith(("second\n", *(f"step {n}\n" for n in (*range(1, 10), 33))))
        again = _run(pipeline, home, pause="0.02")
        assert _digests(again) == expected
        assert _leftovers(home) == []


def _kill(pid: int, *, runner: bool, chance: random.Random) -> None:
    try:
        process = psutil.Process(pid)
        stages = process.children(recursive=True)
        (process if runner or not stages else chance.choice(stages)).kill()
    except psutil.NoSuchProcess:
        return


def _assert_gone(text: str) -> None:
    """Asserts that processes with this text in their command line end soon after the runner."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        alive = [p for p in psutil.process_iter(["cmdline"]) if text in " ".join(p.info["cmdline"] or [])]
        if not alive:
            return
        time.sleep(0.02)
    raise AssertionError(f"still running: {[p.info['cmdline'] for p in alive]}")


def test_concurrent_runs_share_work_and_have_equal_results(processes: Any, home: Path, pipeline: Any) -> None:
    both = [processes.Process(target=_run_in_process, args=(str(home), "0.05")) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    records = [json.loads(path.read_text()) for path in Home(home).runs.glob("*/run.json")]
    executed = [name for record in records for name, task in record["tasks"].items() if task["state"] == "SUCCEEDED"]
    assert len(executed) == STEPS
    assert _leftovers(home) == []


SHORT = """
from kfp import dsl

@dsl.container_component
def source(out: dsl.Output[dsl.Dataset]):
    return dsl.ContainerSpec(image="any:1", command=["touch", out.path])

@dsl.pipeline(name="short")
def short():
    source()
"""


def test_an_uncommitted_pipeline_makes_the_commit_modified(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def modified(pipeline: Any) -> bool:
        [artifact] = _run(pipeline, home, use_cache=False).artifacts.values()
        return bool(json.loads(artifact.metadata["provenance"])["code"]["modified"])

    def commit() -> None:
        for command in ("add short.py", "-c user.name=a -c user.email=a@b commit --quiet --message one"):
            subprocess.run(["git", *command.split()], check=True)

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(COMMIT_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "path", sys.path[:])
    for name in ("short", "renamed"):
        monkeypatch.setitem(sys.modules, name, None)
    subprocess.run(["git", "init", "--quiet"], check=True)
    Path("other").touch()
    subprocess.run(["git", "add", "other"], check=True)
    Path("short.py").write_text(SHORT)
    function = loading.function("short.py")
    commit()
    assert [modified("short.py"), modified(function)] == [False, False]
    loading.compile_to(function, Path("short.yaml"))
    Path("renamed.py").write_text(SHORT)
    assert [modified("short.yaml"), modified("renamed.py")] == [True, True]
    # As in a notebook cell.
    defined: dict[str, Any] = {}
    exec(compile(SHORT, "<cell>", "exec"), defined)
    assert modified(defined["short"]) is True


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_children_and_the_run_resumes(how: signal.Signals, tmp_path: Path) -> None:
    home = tmp_path / "home"
    compiled = tmp_path / "chain.yaml"
    loading.compile_to(chain, compiled)
    command = [sys.executable, "-m", "taxiway", "run", str(compiled), "--param", "pause=30"]
    environment = {**os.environ, "TAXIWAY_HOME": str(home)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(Home(home).work.glob("*/*/outputs/out")):
        time.sleep(0.05)
    process.send_signal(how)
    _, shown = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "chain canceled" in shown
    assert f"resume    taxiway run {compiled} --param pause=30" in shown
    _assert_gone(str(home))
    assert _leftovers(home) == []


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def state_of(status: dict) -> str:
    return f"{status['state']}: {status['error'].get('message', '')}"


@dsl.component(base_image="python:3.13", install_kfp_package=False)
def repeated(text: str) -> str:
    return text


@dsl.pipeline
def leaving(status: dsl.PipelineTaskFinalStatus) -> None:
    repeated(text=state_of(status=status).output)


@dsl.container_component
def breaks():
    return dsl.ContainerSpec(image="any:1", command=["sh", "-c", "echo 'error: it broke'; exit 2"])


def test_a_pipeline_as_exit_handler_runs_after_a_failure(home: Path) -> None:
    @dsl.pipeline(name="leaves")
    def leaves() -> None:
        with dsl.ExitHandler(leaving()):
            breaks()

    with pytest.raises(RunFailedError) as caught:
        _run(loading.compiled(leaves), home)
    run = caught.value.run
    assert (str(caught.value), run.exit_status) == ("it broke", 2)
    assert run.tasks["leaving/repeated"].parameters["Output"] == "FAILED: it broke"
