"""`taxiway doctor`: the report, exit status and duration, and the checks of the local machine."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler
from importlib import metadata
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest
from rich.console import Console

from components.contract import commands
from taxiway.doctor import laptop, page, servers
from taxiway.doctor.examination import Examination
from taxiway.doctor.findings import Check, Line, State, Use, short
from taxiway.doctor.requirements import Task
from tests.taxiway.doctor.doctor_servers import a_cluster, refusing, serving, unresponsive_server, write_kubeconfig

ROOT = Path(__file__).parents[3]


def laptop_line(name: str, **use: Any) -> Line:
    [check] = [check for check in laptop.checks(Use(ROOT, **use)) if check.name == name]
    return check.look()[0]


# The command


def doctor(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as users do, in a folder, without a cluster or a container engine in the environment."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("KF", "KUBE", "DOCKER", "AWS"))}
    return subprocess.run(
        [str(Path(sys.executable).with_name("taxiway")), "doctor", *arguments],
        cwd=folder,
        env={**plain, "HOME": str(folder), "PYTHONPATH": str(ROOT), "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def lines_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    assert done.stderr == ""
    return {line["name"]: line for line in json.loads(done.stdout)["lines"]}


def test_a_complete_local_installation_passes(tmp_path: Path) -> None:
    result = doctor(tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"✓  Python            {'.'.join(map(str, sys.version_info[:3]))} (>=3.11,<3.14)" in result.stdout
    assert "–  kubectl context   no kubeconfig found" in result.stdout
    assert "→ kubectl config use-context NAME  # or, for a cluster on this machine: make " in result.stdout
    assert "Nothing required is missing" in result.stdout
    assert "To check more: taxiway doctor --pipeline PIPELINE --host URL --namespace NAME" in result.stdout


def test_the_exit_status_depends_on_the_requested_use(tmp_path: Path) -> None:
    missing = f"unix://{tmp_path}/missing.sock"
    assert doctor(tmp_path, "--json", DOCKER_HOST=missing).returncode == 0
    result = doctor(tmp_path, "--json", "--runner", "docker", DOCKER_HOST=missing)
    assert result.returncode == 1
    assert json.loads(result.stdout)["ok"] is False
    assert lines_of(result)["container engine"]["state"] == "missing"


def test_the_report_for_a_pipeline_on_a_cluster(tmp_path: Path) -> None:
    with serving() as server:
        a_cluster(server)
        server.answers["/apis/v2beta1/healthz"] = (200, {"tag_name": "2.18.1", "multi_user": False})
        write_kubeconfig(tmp_path / "kubeconfig", server.url)
        pipeline = str(ROOT / "pipelines/chicago_taxi/pipeline.yaml")
        options = ["--pipeline", pipeline, "-p", "destination=s3://models/taxi", "--host", server.url]
        result = doctor(tmp_path, *options, "--namespace", "ml", "--json", KUBECONFIG=str(tmp_path / "kubeconfig"))
    lines = lines_of(result)
    groups = {name: line["group"] for name, line in lines.items()}
    assert groups["pipeline"] == groups["model store"] == "pipeline"
    assert {groups[name] for name in ("Kubeflow", "namespace", "rights", "nodes", "volumes", "secrets")} == {"cluster"}
    assert {line["state"] for line in lines.values() if line["group"] != "this machine"} == {"ok"}
    assert lines["kubectl context"]["state"] == "ok"
    assert result.returncode == 0


def test_unresponsive_services_do_not_delay_the_report(tmp_path: Path) -> None:
    with unresponsive_server() as url:
        write_kubeconfig(tmp_path / "kubeconfig", url)
        options = ["--host", url, "--namespace", "ml", "--timeout", "1.5", "--json"]
        tcp = url.replace("http", "tcp")
        start = time.monotonic()
        result = doctor(tmp_path, *options, KUBECONFIG=str(tmp_path / "kubeconfig"), DOCKER_HOST=tcp)
        seconds = time.monotonic() - start
    lines = lines_of(result)
    silent = {name: line["state"] for name, line in lines.items() if line["found"] == "no answer within 1.5 s"}
    assert silent == {
        "container engine": "absent",
        "kubectl context": "missing",
        "Kubeflow": "missing",
        "namespace": "unknown",
        "rights": "unknown",
    }
    assert lines["Kubeflow"]["fix"] == "retry with --timeout 30"
    assert result.returncode == 1
    assert seconds < 20


@pytest.mark.parametrize(
    ("pipeline", "found"),
    [
        ("nowhere", "there is no pipeline 'nowhere' in "),
        ("broken.py", "broken.py"),
        ("exits.py", "exits.py"),
        ("words.yaml", "words.yaml is not a compiled pipeline"),
    ],
)
def test_a_pipeline_that_cannot_be_read_is_reported_as_a_line(tmp_path: Path, pipeline: str, found: str) -> None:
    (tmp_path / "broken.py").write_text("print('noise')\nimport nothing_of_that_name\n")
    (tmp_path / "exits.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "words.yaml").write_text("just words\n")
    result = doctor(tmp_path, "--pipeline", pipeline, "--json")
    line = next(line for line in json.loads(result.stdout)["lines"] if line["name"] == "pipeline")
    assert (result.returncode, line["state"]) == (1, "missing")
    assert found in line["found"]
    assert "Traceback" not in result.stderr


def test_an_unknown_parameter_is_reported(tmp_path: Path) -> None:
    result = doctor(
        tmp_path, "--pipeline", str(ROOT / "pipelines/chicago_taxi/pipeline.yaml"), "-p", "steps=1", "--json"
    )
    line = lines_of(result)["pipeline"]
    assert line["found"] == "the pipeline chicago-taxi has no parameter 'steps'"
    assert line["fix"] == "did you mean 'eval_steps'?"


def test_it_imports_no_tensorflow_and_starts_quickly(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from taxiway.cli import doctor;"
        "from taxiway.doctor import cluster, laptop, servers, stores;"
        "from taxiway.doctor.findings import Use;"
        "[c.look() for module in (laptop, servers, stores, cluster) for c in module.checks(Use(Path.cwd()))];"
        "print([name for name in ('tensorflow', 'tfx', 'apache_beam', 'kfp', 'kubernetes') if name in sys.modules])"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": "", "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (result.stdout, result.returncode) == ("[]\n", 0), result.stderr


# Running the checks


def test_checks_run_in_parallel() -> None:
    slow = [Check(f"slow {n}", "g", lambda: time.sleep(0.4) or [Line("slow", State.OK, "")]) for n in range(5)]
    start = time.monotonic()
    with closing(Examination(10)) as examination:
        examination.start(slow)
        assert len(examination.lines()) == 5
    assert time.monotonic() - start < 1.9


def test_a_failure_in_one_check_does_not_affect_others() -> None:
    def fails() -> list[Line]:
        print("noise")
        raise RuntimeError("two\nlines")

    def dies() -> list[Line]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []

    def works() -> list[Line]:
        return [Line("works", State.OK, "yes"), Line("works", State.OK, "twice")]

    with closing(Examination(10)) as examination:
        examination.start([Check("fails", "a", fails), Check("dies", "a", dies), Check("works", "b", works)])
        results = examination.lines()
    assert results == [
        ("a", Line("fails", State.UNKNOWN, "RuntimeError: two lines")),
        ("a", Line("dies", State.UNKNOWN, "the check crashed")),
        ("b", Line("works", State.OK, "yes")),
        ("b", Line("works", State.OK, "twice")),
    ]


def test_a_check_that_times_out_is_stopped_with_its_children(tmp_path: Path) -> None:
    def sleeps() -> list[Line]:
        with subprocess.Popen(["sleep", "600"]) as child:
            (tmp_path / "pid.partial").write_text(str(child.pid))
            (tmp_path / "pid.partial").rename(tmp_path / "pid")
        return []

    with closing(Examination(3)) as examination:
        examination.start([Check("sleeps", "g", sleeps, State.MISSING)])
        assert examination.lines() == [
            ("g", Line("sleeps", State.MISSING, "no answer within 3 s", "retry with --timeout 30"))
        ]
    child = Path("/proc", (tmp_path / "pid").read_text())
    deadline = time.monotonic() + 20
    while child.exists() and "\nState:\tZ" not in (child / "status").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# The report


def rendered(lines: page.Page, not_asked: str = "") -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(page.render(lines, not_asked))
    return capture.get()


def test_the_report_shows_each_line_with_its_fix() -> None:
    lines = [
        ("cluster", Line("rights", State.UNKNOWN, "no answer", "try again")),
        ("this machine", Line("Python", State.OK, "3.13", "not shown")),
        ("this machine", Line("engine", State.MISSING, "none", "install [one]")),
        ("this machine", Line("builder", State.ABSENT, "none", "install [one]")),
        ("this machine", Line("kfp", State.WARNING, "old")),
    ]
    shown = [line.rstrip() for line in rendered(lines, "To check more: more").splitlines()]
    assert shown == [
        "this machine",
        "  ✓  Python   3.13",
        "  ✗  engine   none",
        "              → install [one]",
        "  –  builder  none",
        "              → see above",
        "  !  kfp      old",
        "",
        "cluster",
        "  ?  rights   no answer",
        "              → try again",
        "",
        "Missing: engine (1 ok, 1 warning, 1 absent, 1 missing, 1 unknown).",
        "To check more: more",
    ]


def test_only_missing_requirements_fail() -> None:
    for state in State:
        assert page.is_ok([("this machine", Line("it", state, ""))]) is (state is not State.MISSING)


def test_long_errors_become_one_short_line() -> None:
    assert short("a\n  b") == "a b"
    assert short(ValueError()) == "ValueError"
    assert len(short("x" * 1000)) == 161


# This machine


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """`checkout(*requirements, python=">=3")`: makes the doctor use a checkout with this setup.py."""
    for module in (laptop, commands):
        monkeypatch.setattr(module, "checkout", lambda: tmp_path)

    def write(*requirements: str, python: str = ">=3") -> None:
        (tmp_path / "setup.py").write_text(
            f"from setuptools import setup\n\nsetup(python_requires={python!r}, install_requires={requirements!r})\n"
        )

    return write


def test_installed_versions_are_compared_with_their_ranges(checkout: Callable[..., None]) -> None:
    checkout("rich>=99", "typer", "nothing-of-that-name<2", "rich>1; python_version<'3'")
    line = laptop_line("wheels")
    assert line.state is State.MISSING
    assert line.found == f"rich {metadata.version('rich')} is not >=99; nothing-of-that-name is not installed"
    assert line.fix.endswith("python -m pip install 'rich>=99' 'nothing-of-that-name<2'")


def test_installed_versions_are_compared_with_the_lock(checkout: Callable[..., None], tmp_path: Path) -> None:
    checkout("rich")
    lock = [
        "rich==1.0 \\",
        "    --hash=sha256:00",
        "typer==0.1 ; python_full_version < '3' \\",
        "not-installed-here==1.0 \\",
        "docker[tls]==1.0",
    ]
    (tmp_path / "requirements.lock").write_text("\n".join(lock))
    line = laptop_line("wheels")
    assert line.state is State.WARNING
    assert line.found == (
        f"differs from requirements.lock: rich {metadata.version('rich')}, locked ==1.0; "
        f"docker {metadata.version('docker')}, locked ==1.0"
    )
    assert line.fix == f"python -m pip install --require-hashes -r {tmp_path}/requirements.lock"


def test_without_a_checkout_the_ranges_are_those_of_the_installed_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python_range = laptop_line("Python").found
    monkeypatch.setattr(laptop, "checkout", lambda: tmp_path)
    assert laptop_line("Python").state is State.OK
    assert sorted(laptop_line("Python").found) == sorted(python_range)
    assert re.fullmatch(r"\d\d packages, all in their ranges", laptop_line("wheels").found)


def test_an_unsupported_python_is_reported(checkout: Callable[..., None]) -> None:
    checkout(python=">=4")
    line = laptop_line("Python")
    assert (line.state, line.fix) == (State.MISSING, "install a Python in that range, then: make setup")
    assert line.found.endswith("; Taxiway needs >=4")


def test_glibc_is_compared_with_the_wheels_requirement(
    checkout: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "packages/tomorrow-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: tomorrow\nVersion: 1.0\n")
    (folder / "WHEEL").write_text("Tag: cp313-cp313-manylinux_9_1_x86_64\nTag: cp313-cp313-manylinux_9_30_x86_64\n")
    monkeypatch.syspath_prepend(folder.parent)
    checkout("tomorrow", "rich", "nothing-of-that-name")
    line = laptop_line("glibc")
    assert line.state is State.MISSING
    assert line.found.endswith("; the wheels need 9.1")
    assert line.fix == "make setup  # creates a Debian 13 root"


def test_the_glibc_of_this_machine_is_detected() -> None:
    line = laptop_line("glibc")
    assert line.state is State.OK
    assert re.search(r"; the wheels need 2\.\d\d$", line.found)


def test_the_known_vulnerability_of_kfps_local_runner_is_reported() -> None:
    [check] = [check for check in laptop.checks(Use(ROOT)) if check.name == "wheels"]
    lines = {line.name: line for line in check.look()}
    assert lines["kfp"].state is State.WARNING
    assert "GHSA-rhjm-6347-5x33" in lines["kfp"].found


class Engine(BaseHTTPRequestHandler):
    """Docker's API; only its version request."""

    body: bytes = json.dumps(
        {"Components": [{"Name": "Podman Engine"}], "Version": "5.4.2", "Os": "linux", "Arch": "amd64"}
    ).encode()

    def log_message(self, *_: object) -> None:
        pass

    def address_string(self) -> str:
        return "local"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Engine]]:
    """A container engine's socket, with DOCKER_HOST set to it."""
    handler = type("OneEngine", (Engine,), {})
    path = tmp_path / "engine.sock"
    with ThreadingUnixStreamServer(str(path), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield handler
        server.shutdown()
        thread.join()


def test_a_container_engine_is_found(engine: type[Engine], tmp_path: Path) -> None:
    found = f"Podman 5.4.2, linux/amd64 at unix://{tmp_path}/engine.sock"
    assert laptop_line("container engine") == Line("container engine", State.OK, found)


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b"3", b'{"Version": 7}'])
def test_a_socket_that_is_not_a_container_engine_is_reported(engine: type[Engine], body: bytes) -> None:
    engine.body = body
    assert laptop_line("container engine", runner="docker").state is State.MISSING


def test_an_engine_that_is_not_running_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as left_behind:
        left_behind.bind(str(tmp_path / "left.sock"))
    for url in (refusing().replace("http", "tcp"), f"unix://{tmp_path}/none.sock", f"unix://{tmp_path}/left.sock"):
        monkeypatch.setenv("DOCKER_HOST", url)
        line = laptop_line("container engine", runner="docker")
        assert (line.state, line.found[: len(url)]) == (State.MISSING, url)
        assert line.fix == "systemctl --user start podman.socket, or sudo systemctl start docker"


def test_a_missing_permission_on_the_socket_is_reported(engine: type[Engine], tmp_path: Path) -> None:
    (tmp_path / "engine.sock").chmod(0)
    with without_roots_rights():
        line = laptop_line("container engine", runner="docker")
    assert (line.state, line.found) == (State.MISSING, f"unix://{tmp_path}/engine.sock: permission denied")
    assert line.fix == 'sudo usermod --append --groups docker "$USER"  # then log in again'


@contextmanager
def without_roots_rights() -> Iterator[None]:
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)


# TF Serving


def serving_lines(folder: Path, *tasks: Task) -> list[Line]:
    [check] = servers.checks(Use(folder, tasks=tasks))
    return check.look()


def test_the_images_of_the_manifests_match_the_tensorflow_version() -> None:
    trained = metadata.version("tensorflow")
    lines = serving_lines(ROOT)
    assert [line.found for line in lines] == [
        f"tensorflow/serving:{tag} (manifests) reads what TensorFlow {trained} writes"
        for tag in ("2.21.0", "2.21.0-gpu")
    ]
    assert {line.state for line in lines} == {State.OK}


@pytest.mark.parametrize(
    ("image", "state"),
    [
        ("tensorflow/serving:2.19.0", State.WARNING),
        ("docker.io/tensorflow/serving:2.9.1-gpu", State.WARNING),
        ("registry:5000/tensorflow/serving:3.0", State.OK),
        ("tensorflow/serving:latest", State.UNKNOWN),
        ("ours/server:2.19.0", State.UNKNOWN),
    ],
)
def test_the_serving_image_of_a_pipeline_is_checked(tmp_path: Path, image: str, state: State) -> None:
    task = Task("infra-validator", {}, {}, (), {}, (), "", {"docker": {"image": image}})
    [line] = serving_lines(tmp_path, task, task)
    assert line.state is state
    assert line.found.startswith(f"{image} (infra-validator)")
    if state is State.WARNING:
        assert line.fix == f"use tensorflow/serving:{metadata.version('tensorflow')} in infra-validator"


def test_manifests_without_a_serving_image_have_no_line(tmp_path: Path) -> None:
    (tmp_path / "manifests/components/images").mkdir(parents=True)
    (tmp_path / "manifests/components/images/kustomization.yaml").write_text("")
    assert serving_lines(tmp_path) == []
