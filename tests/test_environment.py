"""`bin/` runs things in the environment from any folder, and the lock file holds what `setup.py` asks for."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _run(command: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "bin" / command), *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_python_runs_from_any_folder_and_sees_its_files(tmp_path: Path) -> None:
    (tmp_path / "here.txt").write_text("seen")
    done = _run("python", "-c", "import sys; print(open('here.txt').read(), sys.prefix)", cwd=tmp_path)
    assert done.stdout.split() == ["seen", str(ROOT / ".venv")]


def test_a_link_to_the_command_works(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(ROOT / "bin" / "python")
    assert subprocess.run([str(link), "-c", "print(1)"], capture_output=True, text=True, check=True).stdout == "1\n"


def test_exit_statuses_come_through(tmp_path: Path) -> None:
    assert _run("python", "-c", "raise SystemExit(7)", cwd=tmp_path).returncode == 7


def test_settings_of_package_index_and_certificates_stay(tmp_path: Path) -> None:
    settings = {"PIP_INDEX_URL": "https://index.example/simple", "SSL_CERT_FILE": "/etc/ssl/certs/mine.pem"}
    program = "import os; print(os.environ['PIP_INDEX_URL'], os.environ['SSL_CERT_FILE'])"
    done = _run("python", "-c", program, cwd=tmp_path, **settings)
    assert done.stdout.split() == list(settings.values())
    for file in ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"):
        if Path(file).exists():
            assert _run("python", "-c", f"print(open({file!r}).read())", cwd=tmp_path).stdout.strip()


def test_it_adds_little_time(tmp_path: Path) -> None:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([str(ROOT / "bin" / "inside"), "true"], cwd=tmp_path, check=True)
        times.append(time.perf_counter() - began)
    # 26 ms were measured; the bound leaves room for a busy machine.
    assert min(times) < 0.5


def test_ctrl_c_reaches_the_command_and_it_may_clean_up(tmp_path: Path) -> None:
    program = (
        "import time, pathlib\npathlib.Path('started').touch()\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    time.sleep(0.3)\n    print('cleaned up')\n"
    )
    process = subprocess.Popen(
        [str(ROOT / "bin" / "python"), "-c", program],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not (tmp_path / "started").exists():
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "cleaned up\n"


def test_a_missing_environment_is_told(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "inside").write_text((ROOT / "bin" / "inside").read_text())
    done = subprocess.run(["sh", str(tmp_path / "bin/inside"), "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the environment is missing; run: make -C" in done.stderr


def test_every_locked_package_has_hashes_and_no_index_is_named() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\S)", lock.strip())
    assert len(entries) > 200
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in lock


def test_the_installed_packages_are_the_locked_ones() -> None:
    check = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize("script", ["bin/inside", "bin/python", "bin/taxiway", "docker/debian-root", "docker/setup"])
def test_scripts_are_valid_for_sh(script: str) -> None:
    subprocess.run(["sh", "-n", str(ROOT / script)], check=True)
