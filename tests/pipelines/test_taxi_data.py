from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.contract.errors import DataError, UserError
from components.versioning import data_versions
from pipelines.chicago_taxi import data

CHECKOUT = Path(data.__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without data, like a fresh clone."""
    for name in ("data.dvc", ".dvcignore", ".dvc/config", ".dvc/.gitignore"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(CHECKOUT / name, tmp_path / name)
    return tmp_path


def test_the_trips_equal_those_that_data_dvc_tracks(checkout: Path, taxi_csv: Path) -> None:
    file = data.put_taxi_data(checkout, data.wheel_csv())
    assert file == checkout / "data/chicago_taxi/data.csv"
    assert file.read_bytes() == taxi_csv.read_bytes()
    record = data_versions.describe("data/chicago_taxi", repo=str(checkout))
    assert record["versioned"]
    assert (record["dvc_file"], record["dvc_hash"]) == ("data.dvc", "30df3fd1676e2609cb19a36213cbc1d7.dir")


def test_an_existing_copy_is_not_changed(checkout: Path, taxi_csv: Path) -> None:
    before = data.put_taxi_data(checkout, taxi_csv).stat()
    after = data.put_taxi_data(checkout, taxi_csv).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_changed_data_are_not_overwritten(checkout: Path, taxi_csv: Path) -> None:
    file = data.put_taxi_data(checkout, taxi_csv)
    file.write_text("fare\n1\n")
    text = (
        r"data differs from data\.dvc: expected 30df3fd\w+\.dir, found \w+\.dir\n"
        r"  fix: `rm \S+/data/chicago_taxi/data\.csv`, then `make .*data`, restores the trips; `dvc .*add "
    )
    with pytest.raises(DataError, match=text):
        data.put_taxi_data(checkout, taxi_csv)
    assert file.read_text() == "fare\n1\n"


def test_other_files_in_data_are_ignored(checkout: Path, taxi_csv: Path) -> None:
    own = checkout / "data/mine.csv"
    own.parent.mkdir()
    own.write_text("fare\n1\n")
    dvc_file = (checkout / "data.dvc").read_text()
    for _ in range(2):
        assert data.put_taxi_data(checkout, taxi_csv).read_bytes() == taxi_csv.read_bytes()
        assert data_versions.describe("data/chicago_taxi", repo=str(checkout))["versioned"]
        assert not data_versions.describe("data/mine.csv", repo=str(checkout))["versioned"]
    assert own.read_text() == "fare\n1\n"
    assert (checkout / "data.dvc").read_text() == dvc_file


def test_a_wrong_source_leaves_nothing(checkout: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("fare\n1\n")
    with pytest.raises(DataError, match=r"wrong\.csv does not make .*data what data\.dvc tracks: expected 30df3fd"):
        data.put_taxi_data(checkout, wrong)
    assert not (checkout / "data").exists()


def test_a_checkout_without_data_dvc_is_refused(tmp_path: Path, taxi_csv: Path) -> None:
    with pytest.raises(UserError, match=r"has no data\.dvc that tracks data/chicago_taxi/data\.csv"):
        data.put_taxi_data(tmp_path, taxi_csv)


def test_a_clone_reads_the_trips_at_a_revision(
    checkout: Path, taxi_csv: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("home")
    for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
        monkeypatch.setenv(name, str(home / name.lower()))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    identity = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.org")
    (checkout / ".gitignore").write_text("/data/\n")
    for command in (("init", "--quiet"), ("add", "--all"), (*identity, "commit", "--quiet", "--message", "all")):
        subprocess.run(["git", "-C", str(checkout), *command], check=True)
    dvc_file = (checkout / "data.dvc").read_bytes()
    data.put_taxi_data(checkout, taxi_csv)
    assert (checkout / "data.dvc").read_bytes() == dvc_file
    with data_versions.resolve("data/chicago_taxi@HEAD", repo=str(checkout)) as version:
        assert [file.read_bytes() for file in version.files] == [taxi_csv.read_bytes()]


def test_the_command_imports_neither_tfx_nor_dvc_when_the_data_are_there(taxi_csv: Path) -> None:
    data.put_taxi_data(CHECKOUT, taxi_csv)
    code = (
        "import sys; from pipelines.chicago_taxi import data; status = data.main();"
        "sys.exit(status or bool({'tfx', 'tensorflow', 'dvc'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=CHECKOUT)
    assert result.stdout.strip() == str(CHECKOUT / data.TARGET)
