"""Tasks install packages into separate environments; Taxiway's environment does not change."""

import base64
import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import kfp
import pytest
from kfp import dsl
from kfp.dsl import component_factory

import taxiway
from taxiway import loading
from taxiway.dsl import ExampleGen, SchemaGen, StatisticsGen, Transform
from taxiway.packages import environments
from taxiway.runner.call import State
from taxiway.runs.progress import Observer
from taxiway.runs.record import Run, RunFailedError
from taxiway.storage.home import Home
from tests import loopback
from tests.components.engines import until


def _packages_digest() -> str:
    """A digest of Taxiway's environment: names, sizes and times of files, without bytecode, which other tests write."""
    listed = subprocess.run(
        ["find", sys.prefix, "-not", "-name", "*.pyc", "-not", "-name", "__pycache__", "-printf", "%p %s %T@\\n"],
        capture_output=True,
        check=True,
    )
    return hashlib.sha256(b"\n".join(sorted(listed.stdout.splitlines()))).hexdigest()


@pytest.fixture(scope="module", autouse=True)
def _same_environment() -> Iterator[None]:
    """Asserts that no test here changes a file of Taxiway's environment."""
    before = _packages_digest()
    yield
    assert _packages_digest() == before


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only package source for pip and uv: `colours` 1.0 and 2.0."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        _wheel(folder, "colours", version, {"colours.py": f"VERSION = {version!r}\n"})
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    return folder


def _wheel(folder: Path, name: str, version: str, files: Mapping[str, str]) -> Path:
    about = f"{name}-{version}.dist-info"
    metadata = {
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, **metadata}.items():
            archive.writestr(file, text)
        hashes = [f"{file},sha256={_hash(text)},{len(text)}" for file, text in {**files, **metadata}.items()]
        archive.writestr(f"{about}/RECORD", "\n".join([*hashes, f"{about}/RECORD,,"]))
    return path


def _hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def _run(pipeline: Any, home: Path, **options: Any) -> Run:
    return taxiway.run(pipeline, home=home, observer=Observer(), **options)


def _shell(*scripts: str) -> Any:
    """A pipeline with a container for each of these scripts, one after the other."""

    @dsl.container_component
    def shell(script: str):
        return dsl.ContainerSpec(image="x", command=["sh", "-exc"], args=[script])

    @dsl.pipeline(name="shells")
    def shells():
        before: list[Any] = []
        for script in scripts:
            before = [shell(script=script).after(*before)]

    return loading.compiled(shells)


def _environments(home: Path) -> list[Path]:
    return [folder for folder in Home(home).environments.glob("*") if folder.is_dir()]


def installing(packages: list[str], **options: Any) -> Any:
    """A component that returns the versions of its installed packages, of kfp, and of one of Taxiway's packages."""

    @dsl.component(base_image="python:3.13", packages_to_install=packages, **{"install_kfp_package": False, **options})
    def versions() -> list:
        import sys

        import colours
        import kfp
        import pyarrow

        return [colours.VERSION, kfp.__version__, pyarrow.__version__, sys.executable]

    return versions


def test_each_set_of_packages_has_one_environment_that_is_reused(home: Path, wheels: Path) -> None:
    one, two = installing(["colours==1.0"], install_kfp_package=True), installing(["colours==2.0"])

    @dsl.pipeline(name="installs")
    def installs():
        with dsl.ParallelFor([1, 2]):
            one()
        two()

    compiled = loading.compiled(installs)
    run = _run(compiled, home, use_cache=False)
    outputs = {name: task.parameters["Output"] for name, task in run.tasks.items()}
    assert {name: values[:2] for name, values in outputs.items()} == {
        "versions[0]": ["1.0", kfp.__version__],
        "versions[1]": ["1.0", kfp.__version__],
        "versions-2": ["2.0", kfp.__version__],
    }
    assert len(_environments(home)) == 2
    assert len({values[3] for values in outputs.values()}) == 3
    # Installed packages are not requested again.
    for wheel in wheels.iterdir():
        wheel.unlink()
    again = _run(compiled, home, use_cache=False)
    assert [task.parameters["Output"][0] for _, task in sorted(again.tasks.items())] == ["2.0", "1.0", "1.0"]


def test_another_kfp_can_be_installed_beside_ours(home: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        str(path.relative_to(Path(kfp.__file__).parent.parent)): path.read_text()
        for path in Path(kfp.__file__).parent.rglob("*.py")
        # The modules of other distributions are not touched.
        if path.relative_to(Path(kfp.__file__).parent).parts[0] not in ("kubernetes", "pipeline_spec")
    }
    files["kfp/version.py"] = "__version__ = '2.14.99'\n"
    _wheel(wheels, "kfp", "2.14.99", files)
    monkeypatch.setattr(kfp, "__version__", "2.14.99")

    @dsl.component(base_image="python:3.13")
    def version() -> str:
        import kfp

        return kfp.__version__

    @dsl.component(base_image="python:3.13", use_venv=True)
    def version_in_a_venv() -> str:
        import kfp

        return kfp.__version__

    @dsl.pipeline(name="another-kfp")
    def another_kfp():
        version()
        version_in_a_venv()

    compiled = loading.compiled(another_kfp)
    monkeypatch.undo()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    run = _run(compiled, home)
    assert {task.parameters["Output"] for task in run.tasks.values()} == {"2.14.99"}
    assert len(_environments(home)) == 1
    ours = subprocess.run(
        [sys.executable, "-c", "import kfp; print(kfp.__version__)"], capture_output=True, text=True, check=True
    )
    assert ours.stdout.strip() == kfp.__version__ != "2.14.99"


@pytest.mark.parametrize(
    "command",
    [
        f"pip3.{sys.version_info.minor} install colours==1.0",
        "python -c \"import sys, subprocess as s; s.run([sys.executable, '-m', 'pip', 'install', 'colours'])\"",
        "uv pip install colours==1.0",
        '. "$VIRTUAL_ENV/bin/activate"; pip uninstall --yes kfp pyarrow; pip install colours==1.0',
    ],
)
def test_packages_of_one_script_are_not_visible_to_others(home: Path, wheels: Path, command: str) -> None:
    see = 'python3 -c "import colours, kfp, pyarrow; print(colours.__file__)" | grep "$VIRTUAL_ENV"'
    run = _run(_shell(f"{command}; {see}", "! python3 -c 'import colours'"), home)
    assert run.state == State.SUCCEEDED
    assert not list(Home(home).work.iterdir())


def test_installed_programs_come_first_on_the_path(home: Path, wheels: Path) -> None:
    _wheel(
        wheels,
        "tools",
        "1.0",
        {
            "tools.py": "def dvc(): print('mine')\n",
            "tools-1.0.dist-info/entry_points.txt": "[console_scripts]\ndvc = tools:dvc\n",
        },
    )
    script = '[ -z "$(dvc | grep mine)" ]; pip install tools; dvc | grep mine'
    assert _run(_shell(script), home).state == State.SUCCEEDED


def test_variables_for_other_environments_are_ignored(
    home: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_PYTHON", "UV_PYTHON", "UV_SYSTEM_PYTHON"):
        monkeypatch.setenv(name, "1" if name in ("PIP_USER", "UV_SYSTEM_PYTHON") else str(tmp_path / "elsewhere"))
    script = "pip install colours==1.0; uv pip install colours==2.0; python3 -c 'import colours'"
    assert _run(_shell(script), home).state == State.SUCCEEDED
    assert not (tmp_path / "elsewhere").exists()


def test_a_package_that_cannot_be_installed_fails_the_task_and_leaves_nothing(home: Path, wheels: Path) -> None:
    missing = loading.compiled(_alone(installing(["colours==3.0"])))
    with pytest.raises(
        RunFailedError, match=r"(?s)installing colours==3.0.*No matching distribution.* --runner docker"
    ):
        _run(missing, home)
    assert _environments(home) == []
    _wheel(wheels, "colours", "3.0", {"colours.py": "VERSION = '3.0'\n"})
    assert _run(missing, home).tasks["versions"].parameters["Output"][0] == "3.0"


def _alone(component: Any) -> Any:
    @dsl.pipeline(name="alone")
    def alone():
        component()

    return alone


def test_an_incomplete_environment_is_rebuilt(home: Path, wheels: Path) -> None:
    compiled = loading.compiled(_alone(installing(["colours==1.0"])))
    _run(compiled, home)
    [folder] = _environments(home)
    (folder / "ready").unlink()
    [colours] = folder.rglob("colours.py")
    colours.write_text("VERSION = 'half'\n")
    assert _run(compiled, home, use_cache=False).tasks["versions"].parameters["Output"][0] == "1.0"


class _Index(BaseHTTPRequestHandler):
    """A package index with one wheel, which records the requests."""

    wheel: Path
    requests: list[str]
    may_answer: threading.Event

    def do_GET(self) -> None:
        self.requests.append(self.path)
        self.may_answer.wait(30)
        page = f'<a href="/{self.wheel.name}">{self.wheel.name}</a>'.encode()
        body = self.wheel.read_bytes() if self.path.endswith(".whl") else page
        self.send_response(200 if "colours" in self.path else 404)
        self.send_header("Content-Type", "application/zip" if self.path.endswith(".whl") else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except BrokenPipeError:
            return

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def _index(wheel: Path) -> Iterator[tuple[type[_Index], str]]:
    handler = type("Handler", (_Index,), {"wheel": wheel, "requests": [], "may_answer": threading.Event()})
    with loopback.serving(handler) as url:
        yield handler, f"{url}/simple"


def test_after_a_kill_and_concurrent_installations_there_is_one_complete_environment(
    home: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("TAXIWAY_HOME", str(home))
    with _index(wheels / "colours-1.0-py3-none-any.whl") as (index, url):
        options: dict[str, Any] = {"pip_index_urls": [url], "pip_trusted_hosts": ["127.0.0.1"]}
        component = installing(["colours==1.0"], **options)
        loading.compile_to(_alone(component), tmp_path / "alone.yaml")
        command = [sys.executable, "-m", "taxiway", "run", str(tmp_path / "alone.yaml")]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as killed:
            until(lambda: index.requests)
            assert _environments(home)
            killed.kill()
        index.requests.clear()
        index.may_answer.set()
        both = [subprocess.Popen([*command, "--no-cache"], stderr=subprocess.DEVNULL) for _ in range(2)]
        assert [process.wait(60) for process in both] == [0, 0]
        assert len([path for path in index.requests if path.endswith(".whl")]) == 1
        assert len(_environments(home)) == 1


def test_a_stage_installs_into_its_own_environment(tmp_path: Path, wheels: Path) -> None:
    # As in the forked process of a stage.
    program = f"""
import importlib, os, subprocess, sys
from pathlib import Path
from taxiway.packages import environments
folder = Path({str(tmp_path)!r}) / "environment"
environments.make(folder)
os.environ.update(environments.activated(dict(os.environ), folder))
environments.enter(folder)
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "colours==1.0"], check=True)
importlib.invalidate_caches()
import colours, kfp
assert Path(colours.__file__).is_relative_to(folder)
assert not Path(kfp.__file__).is_relative_to(folder)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


MODULE = """
import importlib, subprocess, sys

def preprocessing_fn(inputs):
    subprocess.run([sys.executable, "-m", "pip", "install", "colours==1.0"], check=True)
    importlib.invalidate_caches()
    import colours
    print("colours", colours.VERSION, colours.__file__)
    return {"a": inputs["a"]}
"""


@pytest.mark.slow
def test_a_users_module_installs_into_its_stages_environment(
    home: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "rows.csv").write_text("a\n" + "".join(f"{number}.5\n" for number in range(200)))

    @dsl.pipeline(name="installing-stage")
    def installing_stage():
        examples = ExampleGen(input_path="rows.csv", allow_unversioned=True).outputs["examples"]
        schema = SchemaGen(statistics=StatisticsGen(examples=examples).outputs["statistics"]).outputs["schema"]
        Transform(examples=examples, schema=schema, module="mine.py")

    log = _run(installing_stage, home).tasks["transform"].log.read_text()
    assert f"colours 1.0 {home}" in log


def _command(**options: Any) -> list[str]:
    """The start of a component's command, as compiled by kfp."""
    return component_factory._get_packages_to_install_command(**options)


@pytest.mark.parametrize(
    ("options", "packages"),
    [
        ({}, [f"kfp=={kfp.__version__}", 'typing-extensions>=3.7.4,<5; python_version<"3.9"']),
        ({"use_venv": True}, [f"kfp=={kfp.__version__}", 'typing-extensions>=3.7.4,<5; python_version<"3.9"']),
        ({"packages_to_install": ["a", "b[c,d]>=1,<2"], "install_kfp_package": False}, ["a", "b[c,d]>=1,<2"]),
        ({"packages_to_install": ["kfp~=2.0", "a!=1"]}, ["kfp~=2.0", "a!=1"]),
        (
            {
                "packages_to_install": ["a"],
                "install_kfp_package": False,
                "pip_index_urls": ["https://a/simple", "https://b/simple"],
                "pip_trusted_hosts": ["a", "b"],
            },
            ["a"],
        ),
        ({"packages_to_install": ["a"], "kfp_package_path": "kfp==2.1", "use_venv": True}, ["a", "kfp==2.1"]),
    ],
)
def test_kfps_installation_is_removed_from_the_command(options: dict[str, Any], packages: list[str]) -> None:
    installs, words = environments.split_installs([*_command(**options), "sh", "-ec", "program", "--x"])
    assert environments.names(installs) == packages
    assert words == ["sh", "-ec", "program", "--x"]


@pytest.mark.parametrize(
    "command",
    [
        ["sh", "-c", "pip install a"],
        ["sh", "-c", 'touch b && python3 -m pip install a && "$0" "$@"', "true"],
        ["sh", "-c", 'python3 -m pip install a || true && "$0" "$@"', "true"],
        ["sh", "-c", 'python3 -m pip install "$A" && "$0" "$@"', "true"],
        ["sh", "-c", 'python3 -m pip install -r a.txt && "$0" "$@"', "true"],
        ["sh", "-c", 'python3 -m pip install --target b a && "$0" "$@"', "true"],
        ["sh", "-c", '"$0" "$@"', "true"],
        ["sh", "-c", 'python3 -m pip install "a && "$0" "$@"', "true"],
        ["true"],
        [*_command(kfp_package_path="git+https://a.org/kfp.git@refs/pull/1/merge"), "true"],
        [*_command(packages_to_install=["./a.whl"], install_kfp_package=False), "true"],
        [*_command(packages_to_install=["a @ https://a.org/a.whl"], install_kfp_package=False), "true"],
    ],
)
def test_other_commands_are_unchanged(command: list[str]) -> None:
    assert environments.split_installs(command) == ((), command)


@pytest.mark.slow
def test_a_pipeline_runs_with_an_older_kfp_from_the_index(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pip = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--ignore-requires-python",
            "--dest",
            str(home),
            "kfp==2.9.0",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if pip.returncode:
        pytest.skip(f"no package index answers: {pip.stderr.strip().splitlines()[-1]}")
    ours = kfp.__version__
    monkeypatch.setattr(kfp, "__version__", "2.9.0")

    @dsl.component(base_image="python:3.11")
    def add(a: int, b: int) -> str:
        import kfp

        return f"{a + b} by {kfp.__version__}"

    @dsl.pipeline(name="add")
    def adds():
        add(a=1, b=2)

    compiled = loading.compiled(adds)
    monkeypatch.setattr(kfp, "__version__", ours)
    assert _run(compiled, home).tasks["add"].parameters["Output"] == "3 by 2.9.0"
