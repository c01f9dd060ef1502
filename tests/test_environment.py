"""`bin/` runs programs in the environment from any folder, and the lock file satisfies `setup.py`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _way_out() -> list[str]:
    """The prefix that runs a command outside of the Debian root; empty if the tests do not run in it.

    There `bin/inside` has to make its way in; here it would find that it is in already.
    """
    if "TAXIWAY_INSIDE" not in os.environ:
        return []
    process, here = os.getppid(), Path("/proc/self/ns/mnt").readlink()
    try:
        while Path(f"/proc/{process}/ns/mnt").readlink() == here:
            process = int(re.findall(r"^PPid:\t(\d+)", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)[0])
    except OSError:
        return []
    leave = ["nsenter", "--target", str(process), "--mount", "env", "--unset=TAXIWAY_INSIDE"]
    return leave if subprocess.run([*leave, "true"], capture_output=True, check=False).returncode == 0 else []


WAY_OUT = _way_out()


def _command(command: str, *arguments: str, cwd: Path) -> list[str]:
    """A command of `bin/`, as a user outside runs it."""
    return [*WAY_OUT, "sh", "-c", 'cd "$0" && exec "$@"', str(cwd), str(ROOT / "bin" / command), *arguments]


def _run(command: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(command, *arguments, cwd=cwd),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def _started(program: str, cwd: Path) -> subprocess.Popen[str]:
    """A running program in its own session; it creates the file `started`."""
    process = subprocess.Popen(
        _command("python", "-c", f"import pathlib, signal, sys, time\n{program}", cwd=cwd),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _wait_for(cwd / "started")
    return process


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline, f"there is no {file}"
        time.sleep(0.02)


def test_python_runs_from_any_folder_and_sees_its_files(tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("seen")
    result = _run("python", "-c", "import sys; print(open('here.txt').read(), sys.prefix)", cwd=tmp_path)
    assert result.stdout.split() == ["seen", str(ROOT / ".venv")]


def test_a_link_to_the_command_works(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(ROOT / "bin" / "python")
    assert subprocess.run([str(link), "-c", "print(1)"], capture_output=True, text=True, check=True).stdout == "1\n"


def test_exit_statuses_are_passed_on(tmp_path: Path) -> None:
    assert _run("python", "-c", "raise SystemExit(7)", cwd=tmp_path).returncode == 7


def test_settings_of_package_index_and_certificates_are_kept(tmp_path: Path) -> None:
    settings = {"PIP_INDEX_URL": "https://index.example/simple", "SSL_CERT_FILE": "/etc/ssl/certs/mine.pem"}
    program = "import os; print(os.environ['PIP_INDEX_URL'], os.environ['SSL_CERT_FILE'])"
    result = _run("python", "-c", program, cwd=tmp_path, **settings)
    assert result.stdout.split() == list(settings.values())
    for file in ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
        if Path(file).exists():
            assert _run("python", "-c", f"print(open({file!r}).read())", cwd=tmp_path).stdout.strip()


def test_the_wrapper_adds_little_time(tmp_path: Path) -> None:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([str(ROOT / "bin" / "inside"), "true"], cwd=tmp_path, check=True)
        times.append(time.perf_counter() - began)
    # 26 ms were measured; the bound leaves room for a busy machine.
    assert min(times) < 0.5


CLEANS_UP = """
def stop(*_):
    print("cleaned up", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
pathlib.Path("started").touch()
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_command_replaces_the_wrapper_process_and_has_no_children(tmp_path: Path) -> None:
    program = "import os; print(os.getpid(), open(f'/proc/self/task/{os.getpid()}/children').read())"
    process = subprocess.Popen(_command("python", "-c", program, cwd=tmp_path), stdout=subprocess.PIPE, text=True)
    assert process.communicate(timeout=60)[0].split() == [str(process.pid)]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_signals_and_exit_statuses_are_passed_on(tmp_path: Path, how: signal.Signals) -> None:
    process = _started(CLEANS_UP, tmp_path)
    process.send_signal(how)
    assert process.communicate(timeout=20)[0] == "cleaned up\n"
    assert process.returncode == 7


def test_ctrl_c_reaches_the_command_which_can_clean_up(tmp_path: Path) -> None:
    program = (
        "pathlib.Path('started').touch()\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    time.sleep(0.3)\n    print('cleaned up')\n"
    )
    process = _started(program, tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "cleaned up\n"


def test_a_killed_command_leaves_no_process(tmp_path: Path) -> None:
    """Like `timeout -s KILL`; its output ends, so no process of it continues."""
    process = _started(CLEANS_UP, tmp_path)
    process.kill()
    assert process.communicate(timeout=20)[0] == ""
    assert process.returncode == -signal.SIGKILL


def test_background_processes_of_a_script_outlive_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(f"import pathlib, signal, sys, time{CLEANS_UP}")
    script = f"{ROOT}/bin/python program.py >log 2>&1 & echo $!"
    starter = subprocess.Popen(
        [*WAY_OUT, "sh", "-c", f"cd {tmp_path} && {script}; read -r _"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdin and starter.stdout
    daemon = int(starter.stdout.readline())
    _wait_for(tmp_path / "started")
    starter.kill()
    starter.communicate(timeout=20)
    # A process that dies with its starter does so before the starter is waited for.
    os.kill(daemon, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while (tmp_path / "log").read_text() != "cleaned up\n":
        assert time.monotonic() < deadline
        time.sleep(0.02)


# How the tests are started


def test_the_tests_do_not_depend_on_how_they_are_started(tmp_path: Path) -> None:
    """Under different conditions: with a nice value, a strict umask, another folder, and various settings."""
    settings = dict(
        pair.split("=")
        for pair in [
            "CI=true",
            "GITHUB_ACTIONS=true",
            "FORCE_COLOR=1",
            "COLUMNS=40",
            "TERM=xterm",
            "LC_ALL=C",
            "TZ=Asia/Kolkata",
            "HOME=/nonexistent",
            "TAXIWAY_COMMAND=x/taxiway",
            "TAXIWAY_COMMIT=abc",
            "TAXIWAY_HOME=/nonexistent",
            "http_proxy=http://127.0.0.1:9",
            "GIT_DIR=/nonexistent",
            "GIT_CONFIG_COUNT=1",
            "GIT_CONFIG_KEY_0=commit.gpgsign",
            "GIT_CONFIG_VALUE_0=true",
        ]
    )
    chosen = [
        "components/execution/test_provenance.py::test_the_record_has_the_commit_and_whether_it_was_modified",
        "taxiway/lineage/test_tree.py",
        "taxiway/runs/test_progress.py",
        "taxiway/cli/test_cli.py::test_a_run_prints_its_progress_to_standard_error",
    ]
    tests = " ".join(f"'{ROOT}/tests/{name}'" for name in chosen)
    options = f"-q -p no:cacheprovider -c '{ROOT}/pyproject.toml' --rootdir '{ROOT}' --basetemp '{tmp_path}/tests'"
    command = f"umask 077 && exec nice -n 5 '{sys.executable}' -m pytest {options} {tests} <&-"
    result = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]


# Copied and moved checkouts: one with its setup scripts, and stubs of Python and of the host's programs.

PYTHON = """#!/bin/sh
echo "$0 $*" >>"$CALLS"
case "$*" in
"-m venv"*)
    mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && touch "$3/bin/pip" && chmod +x "$3/bin/pip"
    echo "command = $0 -m venv $PWD/$3" >"$3/pyvenv.cfg" ;;
esac
"""


def _has_make() -> bool:
    """Whether the host has make; the Debian root, which these tests may run in, has none."""
    command = [*WAY_OUT, "env", "make", "--version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


MAKE = ["make"] if _has_make() else ["sh", "-c", "docker/setup"]
needs_make = pytest.mark.skipif(MAKE != ["make"], reason="make is missing")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an environment, on a host with a recent glibc."""
    folder = tmp_path / "checkout"
    for name in ("bin/inside", "bin/python", "docker/setup", "docker/debian-mirror", "docker/debian-root", "Makefile"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in ("requirements.lock", "setup.py"):
        (folder / name).touch()
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"python3.13": PYTHON, "getconf": "#!/bin/sh\necho glibc 2.41\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    assert "ready" in _in(folder, *MAKE, "setup").stderr
    return folder


def _in(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    beside = folder.parent
    own = {"PATH": f"{beside / 'programs'}:/usr/bin:/bin", "CALLS": str(beside / "calls"), "LANG": "C.UTF-8"}
    inside = [*WAY_OUT, "sh", "-c", 'cd "$0" && exec "$@"', str(folder), *command]
    return subprocess.run(inside, env=own, capture_output=True, text=True, check=False)


def _fix_as_suggested(folder: Path, message: str) -> None:
    """A command fails with the reason, and the suggested command fixes it."""
    refused = _in(folder, "bin/inside", "echo", "ran")
    assert (refused.returncode, refused.stdout) == (1, "")
    suggested = re.fullmatch(rf"taxiway: {re.escape(message)}; run: (make -C \S+ setup)\n", refused.stderr)
    assert suggested, refused.stderr
    assert _in(folder, *(suggested[1].split() if MAKE == ["make"] else [*MAKE, "setup"])).returncode == 0
    assert _in(folder, "bin/inside", "echo", "ran").stdout == "ran\n"


@needs_make
def test_an_existing_environment_is_not_set_up_again(checkout: Path) -> None:
    calls = (checkout.parent / "calls").read_text()
    assert "-m venv" in calls
    assert _in(checkout, "make", "setup").returncode == 0
    assert (checkout.parent / "calls").read_text() == calls


@pytest.mark.parametrize("how", ["cp -a", "mv", "cp -al"])
def test_a_copied_or_moved_checkout_gets_its_own_environment(checkout: Path, how: str) -> None:
    # A path with the same ending as the former one.
    place = checkout.parent / f"elsewhere{checkout}"
    place.parent.mkdir(parents=True)
    (checkout.parent / "elsewhere/programs").symlink_to(checkout.parent / "programs")
    subprocess.run([*how.split(), checkout, place], check=True)
    before = (place / ".venv/pyvenv.cfg").read_text()
    (place.parent / "programs").symlink_to(checkout.parent / "programs")
    message = f"the environment was made for {checkout}, and this is a copy, or was moved"
    _fix_as_suggested(place, message)
    if how != "mv":
        assert (checkout / ".venv/pyvenv.cfg").read_text() == before
        assert _in(checkout, "bin/inside", "echo", "ran").stdout == "ran\n"


@needs_make
def test_make_sets_up_a_copied_checkout(checkout: Path) -> None:
    copy = checkout.with_name("copy")
    subprocess.run(["cp", "-a", checkout, copy], check=True)
    assert _in(copy, "make", "lint").returncode == 2  # there is no ruff
    assert _in(copy, "bin/inside", "echo", "ran").stdout == "ran\n"


def test_a_missing_python_or_debian_root_is_reported(checkout: Path) -> None:
    (checkout / ".venv/bin/python").unlink()
    _fix_as_suggested(checkout, "the environment's Python is gone from this machine")
    (checkout / ".venv.root").write_text("/nosuch/root\n")
    _fix_as_suggested(checkout, "the environment's Debian root, /nosuch/root, is gone")


def test_a_missing_environment_is_reported(checkout: Path) -> None:
    (checkout / ".venv/ready").unlink()
    _fix_as_suggested(checkout, "the environment is missing")


def test_every_locked_package_has_hashes_and_no_index_is_named() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert len(entries) > 200
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in lock


def test_the_installed_packages_are_the_locked_ones() -> None:
    check = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize(
    "script",
    [
        "bin/dvc",
        "bin/inside",
        "bin/python",
        "bin/taxiway",
        "docker/debian-mirror",
        "docker/debian-root",
        "docker/setup",
    ],
)
def test_scripts_are_valid_for_sh(script: str) -> None:
    subprocess.run(["sh", "-n", str(ROOT / script)], check=True)
