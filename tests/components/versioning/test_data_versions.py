"""Data versions, with real Git and DVC repositories, a real local remote and a real S3 API."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.contract.errors import DataError, ServiceError, UserError
from components.versioning import data_versions, dvc_outputs, dvc_revisions

TRIPS = "fare,tips\n12.5,2\n"
MORE_TRIPS = TRIPS + "7,0\n"


@pytest.fixture(scope="module", autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Isolates the tests from the user's Git and DVC settings and caches."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
            patch.setenv(name, str(home / name.lower()))
        patch.setenv("DVC_NO_ANALYTICS", "1")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "A Tester")
            patch.setenv(f"GIT_{role}_EMAIL", "tester@example.org")
        yield


def git(folder: Path, *arguments: str) -> str:
    result = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return result.stdout.strip()


def dvc(folder: Path, *arguments: str) -> None:
    """Runs a dvc command line in this process, because a new one needs a second to import DVC."""
    from dvc.cli import main

    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main([*arguments, "--quiet"]) == 0
    finally:
        os.chdir(before)


def commit(folder: Path, tag: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", tag)
    git(folder, "tag", tag)


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, _own_settings: None) -> Path:
    folder = tmp_path_factory.mktemp("template")
    git(folder, "init", "--quiet", "--initial-branch=main")
    dvc(folder, "init")
    write(folder / "data/taxi/trips.csv", TRIPS)
    write(folder / "data/taxi/years/2013/fähre.csv", TRIPS)
    dvc(folder, "add", "data")
    commit(folder, "v1")
    write(folder / "data/taxi/trips.csv", MORE_TRIPS)
    dvc(folder, "add", "data")
    commit(folder, "v2")
    return folder


@pytest.fixture
def repository(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, also the working folder; DVC tracks the trips in `data/`, which differ between v1 and v2."""
    folder = tmp_path / "repository"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    return folder


def content(path: str, **settings: object) -> dict[str, str]:
    """The files that an input path resolves to, by name relative to it."""
    with data_versions.resolve(path, **settings) as version:  # type: ignore[arg-type]
        return {
            file.name if file == version.path else file.relative_to(version.path).as_posix(): file.read_text()
            for file in version.files
        }


def dvc_hash(folder: Path, dvc_file: str = "data.dvc") -> str:
    return (folder / dvc_file).read_text().split("md5: ")[1].split()[0]


# The same hashes as DVC


def test_hashes_are_those_of_dvc(repository: Path) -> None:
    from dvc.repo import Repo

    for name in ("a.csv", "ß/ü b.csv", "ß/日本.csv", "deep/er/and/deeper.csv", ".hidden", "empty.csv", 'quote".csv'):
        write(repository / "more" / name, name)
    (repository / "more/empty.csv").write_text("")
    (repository / "more/empty folder").mkdir()
    (repository / "more/link.csv").symlink_to(repository / "data/taxi/trips.csv")
    (repository / "more/linked folder").symlink_to(repository / "data")
    write(repository / "more/of another/.dvc/config", "")
    write(repository / "more/of another/trips.csv", TRIPS)
    write(repository / "single.csv", TRIPS)
    dvc(repository, "add", "more", "single.csv")
    for change in (False, True):
        if change:
            write(repository / "more/ß/new.csv", "new")
            write(repository / "single.csv", MORE_TRIPS)
        with Repo(str(repository)) as repo:
            expected = {Path(out.fs_path): out.get_hash().value for out in repo.index.outs}
            repo.close()
        outputs = dvc_outputs.tracked_outputs(list(expected))
        assert {path: _digest(output) for path, output in outputs.items()} == expected
        assert len(expected) == 3


def test_ignored_files_are_not_part_of_the_data(repository: Path) -> None:
    write(repository / ".dvcignore", "# not these\n*.tmp\n!keep.tmp\n/more/drop/\n")
    for name in ("a.csv", "b.tmp", "keep.tmp", "drop/c.csv", "inner/drop/d.csv"):
        write(repository / "more" / name, name)
    dvc(repository, "add", "more")
    output = dvc_outputs.tracked_outputs([repository / "more"])[repository / "more"]
    assert _digest(output) == output.digest
    assert set(content("more")) == {"a.csv", "keep.tmp", "inner/drop/d.csv"}
    with pytest.raises(DataError, match=r"neither DVC nor Git tracks more/b\.tmp"):
        data_versions.describe("more/b.tmp")


def test_hashes_of_dvc_before_3(repository: Path) -> None:
    write(repository / "old.csv", TRIPS.replace("\n", "\r\n"))
    unix = hashlib.md5(TRIPS.encode()).hexdigest()
    write(repository / "old.csv.dvc", f"outs:\n- md5: {unix}\n  path: old.csv\n")
    assert data_versions.describe("old.csv")["dvc_hash"] == unix


def _digest(output: dvc_outputs.TrackedOutput) -> str:
    return dvc_outputs.output_digest(output, dvc_outputs.content_hashes(output, dvc_outputs.hash_file))


# The working tree


def test_a_folder_in_the_working_tree_has_a_version(repository: Path) -> None:
    with data_versions.resolve("data/taxi") as version:
        assert version.path == repository / "data/taxi"
        assert version.files == [
            repository / "data/taxi/trips.csv",
            repository / "data/taxi/years/2013/fähre.csv",
        ]
        assert version.record == {
            "path": "data/taxi",
            "revision": "",
            "commit": git(repository, "rev-parse", "HEAD"),
            "dvc_file": "data.dvc",
            "dvc_hash": dvc_hash(repository),
            "versioned": True,
            "content": version.record["content"],
        }
        assert version.record == data_versions.describe("data/taxi")


def test_a_file_and_globs_have_versions(repository: Path) -> None:
    assert content("data/taxi/trips.csv") == {"trips.csv": MORE_TRIPS}
    assert set(content("data/taxi/*.csv")) == {"trips.csv"}
    assert set(content("data/**/*.csv")) == {"taxi/trips.csv", "taxi/years/2013/fähre.csv"}
    assert set(content("data/*/years/20*")) == {"taxi/years/2013/fähre.csv"}
    assert set(content(str(repository / "data/t*"))) == {"taxi/trips.csv", "taxi/years/2013/fähre.csv"}


def test_hidden_files_and_those_of_dvc_are_not_data(repository: Path) -> None:
    for name in (".hidden.csv", ".cache/a.csv", "a.csv", "b.csv"):
        write(repository / "sets" / name, name)
    dvc(repository, "add", "sets/a.csv", "sets/b.csv")
    record = data_versions.describe("sets")
    assert set(content("sets")) == {"a.csv", "b.csv"}
    assert record["dvc_file"] == "sets/a.csv.dvc, sets/b.csv.dvc"
    assert record["dvc_hash"] == ", ".join(hashlib.md5(name.encode()).hexdigest() for name in ("a.csv", "b.csv"))


def test_outputs_of_a_dvc_pipeline_have_versions(repository: Path) -> None:
    write(repository / "steps/dvc.yaml", "stages: {clean: {cmd: cp ../raw.csv ../clean.csv, outs: [../clean.csv]}}\n")
    write(repository / "raw.csv", TRIPS)
    dvc(repository, "repro", "steps/dvc.yaml")
    commit(repository, "v3")
    expected = {"dvc_file": "steps/dvc.lock", "dvc_hash": hashlib.md5(TRIPS.encode()).hexdigest(), "versioned": True}
    assert data_versions.describe("clean.csv").items() >= expected.items()
    assert data_versions.describe("clean.csv@v3").items() >= expected.items()
    write(repository / "clean.csv", MORE_TRIPS)
    with pytest.raises(DataError, match=r"`dvc commit --force clean\.csv` accepts"):
        data_versions.describe("clean.csv")


def test_data_tracked_by_git_have_versions(repository: Path) -> None:
    write(repository / "small/trips.csv", TRIPS)
    commit(repository, "v3")
    record = data_versions.describe("small")
    assert record["versioned"]
    assert (record["dvc_file"], record["dvc_hash"]) == ("", "")
    assert data_versions.describe("small@v3")["content"] == record["content"]
    write(repository / "small/trips.csv", MORE_TRIPS)
    blobs = [git(repository, "rev-parse", "HEAD:small/trips.csv"), git(repository, "hash-object", "small/trips.csv")]
    with pytest.raises(DataError) as refusal:
        data_versions.describe("small")
    assert f"small/trips.csv differs from Git's last commit: expected {blobs[0]}, found {blobs[1]}" in str(
        refusal.value
    )
    assert "`git checkout HEAD -- small/trips.csv` restores it" in str(refusal.value)
    assert content("small@v3") == {"trips.csv": TRIPS}


def test_a_repository_outside_the_working_folder_is_found(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = data_versions.describe("data/taxi")
    monkeypatch.chdir(tmp_path)
    assert data_versions.describe("data/taxi", repo=str(repository)) == here
    assert content("data/taxi/trips.csv@v1", repo=str(repository)) == {"trips.csv": TRIPS}
    with pytest.raises(UserError, match="there is no repository nowhere"):
        data_versions.describe("data/taxi", repo="nowhere")


def test_a_dvc_repository_may_be_in_a_subfolder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "--quiet")
    project = tmp_path / "project"
    write(project / "data/trips.csv", TRIPS)
    dvc(project, "init", "--subdir")
    dvc(project, "add", "data")
    commit(tmp_path, "v1")
    monkeypatch.chdir(project)
    for path in ("data", "data@v1"):
        assert data_versions.describe(path)["dvc_file"] == "project/data.dvc"
        assert content(path) == {"trips.csv": TRIPS}


def test_dvc_without_git_has_a_version(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(repository / "data", bare / "data")
    shutil.copy(repository / "data.dvc", bare)
    monkeypatch.chdir(bare)
    record = data_versions.describe("data/taxi")
    assert (record["commit"], record["dvc_file"], record["versioned"]) == ("", "data.dvc", True)
    with pytest.raises(UserError, match="data is not in a Git repository with revisions"):
        data_versions.describe("data@v1")


def test_describing_the_working_tree_does_not_import_dvc(repository: Path) -> None:
    code = (
        "import sys; from components.versioning import data_versions; data_versions.describe('data/taxi');"
        "sys.exit(bool({'dvc', 'dvc_data', 'fsspec'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(data_versions.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_a_caller_can_cache_hashes(repository: Path) -> None:
    hashed = []

    def cached_hash(path: Path, algorithm: str) -> str:
        hashed.append((path.name, algorithm))
        return dvc_outputs.hash_file(path, algorithm)

    write(repository / "loose.csv", TRIPS)
    plain = data_versions.describe("data/taxi/trips.csv"), data_versions.describe("loose.csv", allow_unversioned=True)
    assert data_versions.describe("data/taxi/trips.csv", hash_file=cached_hash) == plain[0]
    assert data_versions.describe("loose.csv", allow_unversioned=True, hash_file=cached_hash) == plain[1]
    assert sorted(hashed) == [("loose.csv", "sha256"), ("trips.csv", "md5")]


# Data that differ from their version


def test_changed_data_are_refused_with_the_fix(repository: Path) -> None:
    expected = dvc_hash(repository)
    write(repository / "data/taxi/trips.csv", "fare,tips\n")
    with pytest.raises(DataError) as refusal:
        data_versions.describe("data/taxi")
    output = dvc_outputs.tracked_outputs([repository / "data"])[repository / "data"]
    assert str(refusal.value) == (
        f"data differs from data.dvc: expected {expected}, found {_digest(output)} (data/taxi/trips.csv is changed)\n"
        "  fix: `dvc checkout --force data/taxi/trips.csv` restores the tracked data; `dvc add data/taxi/trips.csv` "
        "accepts the current data; or accept the data unversioned: ExampleGen(..., allow_unversioned=True)"
    )
    changed = data_versions.describe("data/taxi", allow_unversioned=True)
    assert not changed["versioned"]
    assert changed["dvc_hash"] == expected
    assert changed["difference"] == {"expected": expected, "found": _digest(output)}
    dvc(repository, "checkout", "--force", "data.dvc")
    restored = data_versions.describe("data/taxi")
    assert restored["versioned"]
    assert restored["content"] != changed["content"]
    write(repository / "data/taxi/trips.csv", "fare,tips\n")
    dvc(repository, "add", "data")
    assert data_versions.describe("data/taxi")["content"] == changed["content"]


@pytest.mark.parametrize("path", ["data/taxi/*.csv", "data"])
def test_an_added_file_is_refused_as_a_difference(repository: Path, path: str) -> None:
    write(repository / "data/taxi/more.csv", TRIPS)
    with pytest.raises(DataError, match=r"data differs from data\.dvc: expected \w+\.dir, found \w+\.dir"):
        data_versions.describe(path)


@pytest.mark.parametrize("cache", ["usual", "elsewhere"])
def test_differences_in_files_that_are_not_read_are_ignored(repository: Path, cache: str) -> None:
    if cache == "elsewhere":
        shutil.move(repository / ".dvc/cache", repository / "kept")
        dvc(repository, "cache", "dir", "kept")
    paths = ["data/taxi/trips.csv", "data/taxi/*.csv", "data/taxi/years"]
    before = [data_versions.describe(path) for path in paths]
    write(repository / "data/mine.csv", TRIPS)
    write(repository / "data/taxi/notes.txt", "mine")
    shutil.rmtree(repository / ".git")  # a commit would make no difference here
    after = [data_versions.describe(path) for path in paths]
    assert [{**each, "commit": ""} for each in before] == after
    write(repository / "data/taxi/trips.csv", TRIPS)
    assert data_versions.describe("data/taxi/years") == after[2]
    with pytest.raises(DataError, match=r"\(data/taxi/trips.csv is changed\)"):
        data_versions.describe("data/taxi/*.csv")


def test_a_folder_is_compared_as_a_whole_without_dvcs_listing(repository: Path) -> None:
    shutil.rmtree(repository / ".dvc/cache")
    assert data_versions.describe("data/taxi")["versioned"]
    write(repository / "data/mine.csv", TRIPS)
    with pytest.raises(DataError, match=r"data differs from data\.dvc: expected \w+\.dir, found \w+\.dir\n"):
        data_versions.describe("data/taxi")


def test_a_damaged_listing_is_not_used(repository: Path) -> None:
    digest = dvc_hash(repository)
    listing = repository / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    listing.chmod(0o644)
    listing.write_text("[]")
    assert data_versions.describe("data/taxi")["versioned"]


@pytest.mark.parametrize("path", ["data/mine.csv", "data/mine", "data/mine/*.csv"])
def test_new_data_in_a_tracked_folder_count_as_unversioned(repository: Path, path: str) -> None:
    write(repository / "data/mine.csv", TRIPS)
    write(repository / "data/mine/a.csv", TRIPS)
    record = data_versions.describe(path)
    assert not record["versioned"]
    assert (record["dvc_file"], record["dvc_hash"], "difference" in record) == ("", "", False)
    adding = data_versions.adding(record)
    assert adding == f"dvc add {path.removesuffix('/*.csv')}"
    run_suggested(adding)
    added = data_versions.describe(path)
    assert (added["versioned"], added["dvc_file"], data_versions.adding(added)) == (True, "data.dvc", "")
    assert data_versions.describe("data/taxi")["versioned"]


def run_suggested(line: str) -> None:
    """Runs a command as messages print it."""
    program, *words = shlex.split(line)
    if program == "dvc":
        dvc(Path.cwd(), *words)
    else:
        subprocess.run([program, *words], check=True, capture_output=True)


def refusal(path: str) -> str:
    with pytest.raises(UserError) as refused:
        data_versions.describe(path)
    return refused.value.fix


def commands(fix: str) -> list[str]:
    matches = re.findall(r"`([^`]+)`", fix)
    assert matches, fix
    return matches


def _change(file: str, text: str | None) -> None:
    """Replaces a file, as an editor does, because the old one may be a link into DVC's cache."""
    Path(file).unlink(missing_ok=True)
    if text is not None:
        write(Path(file), text)


CHANGES: dict[str, tuple[str, dict[str, str | None]]] = {
    "changed": ("data/taxi", {"data/taxi/trips.csv": "other"}),
    "gone": ("data/taxi", {"data/taxi/trips.csv": None}),
    "several": ("data/taxi", {"data/taxi/trips.csv": "x", "data/taxi/years/2013/fähre.csv": None}),
    "one file": ("one file.csv", {"one file.csv": "other"}),
    "Git's": ("in git.csv", {"in git.csv": "other"}),
    "no listing": ("data/taxi", {"data/taxi/trips.csv": "other"}),
}


@pytest.mark.parametrize("which", [0, 1], ids=["restore", "accept"])
@pytest.mark.parametrize("case", CHANGES)
def test_the_commands_of_a_refusal_work_as_printed(repository: Path, tmp_path: Path, case: str, which: int) -> None:
    path, changes = CHANGES[case]
    if case == "no listing":
        dvc(repository, "remote", "add", "--default", "storage", str(tmp_path / "storage"))
        dvc(repository, "push")
        shutil.rmtree(repository / ".dvc/cache")
    write(repository / "one file.csv", TRIPS)
    dvc(repository, "add", "one file.csv")
    write(repository / "in git.csv", TRIPS)
    commit(repository, "v3")
    write(repository / "data/mine.csv", "mine")
    for file, text in changes.items():
        _change(file, text)
    run_suggested(commands(refusal(path))[which])
    if case != "no listing" or which:
        assert (repository / "data/mine.csv").read_text() == "mine"
    assert data_versions.describe(path)["versioned"]


def test_new_data_are_added_or_moved_and_never_removed(repository: Path) -> None:
    new = write(repository / "data/taxi/it's a $HOME file.csv", "new")
    for other in (None, "other"):
        if other:
            write(repository / "data/taxi/trips.csv", other)
        for line in commands(refusal("data/taxi"))[:-1]:
            run_suggested(line)
            assert new.read_text() == "new"
    run_suggested(commands(refusal("data/taxi"))[-1])
    assert data_versions.describe("data/taxi")["versioned"]


@pytest.mark.parametrize("place", ["loose", "a folder", "ignored", "outside", "no repository", "Git alone"])
def test_the_commands_for_untracked_data_work_as_printed(
    repository: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = {"loose": ".", "a folder": "some folder", "ignored": "data/taxi"}.get(place, str(tmp_path / "elsewhere"))
    path = str(write(Path(folder) / "tr ips.csv", TRIPS))
    if place == "ignored":
        write(repository / ".dvcignore", "tr*.csv\n")
    if place in ("no repository", "Git alone"):
        monkeypatch.chdir(tmp_path)
    if place == "Git alone":
        git(tmp_path, "init", "--quiet")
    fix = refusal(path)
    if place == "ignored":
        (repository / ".dvcignore").unlink()
    for line in commands(fix):
        run_suggested(line)
    assert data_versions.describe("data/tr ips.csv" if place == "outside" else path)["versioned"]


def test_missing_data_can_be_fetched_as_the_message_says(repository: Path, tmp_path: Path) -> None:
    dvc(repository, "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    dvc(repository, "push")
    shutil.rmtree(repository / "data")
    shutil.rmtree(repository / ".dvc/cache")
    run_suggested(refusal("data/taxi"))
    assert data_versions.describe("data/taxi")["versioned"]


def test_an_invalid_dvc_file_can_be_fixed_as_the_message_says(repository: Path) -> None:
    for which in (0, 1):
        (repository / "data.dvc").write_text("broken")
        restore, remove, add = commands(refusal("data/taxi"))
        for line in [[restore], [remove, add]][which]:
            run_suggested(line)
        assert data_versions.describe("data/taxi")["versioned"]


def test_untracked_data_are_refused(repository: Path) -> None:
    write(repository / "loose/a.csv", TRIPS)
    write(repository / "loose/b.csv", TRIPS)
    with pytest.raises(DataError) as refusal:
        data_versions.describe("loose")
    assert "neither DVC nor Git tracks loose/a.csv and 1 others" in str(refusal.value)
    assert "dvc add loose/a.csv" in str(refusal.value)
    assert "allow_unversioned=True" in str(refusal.value)
    record = data_versions.describe("loose", allow_unversioned=True)
    assert not record["versioned"]
    assert "difference" not in record
    assert set(content("loose", allow_unversioned=True)) == {"a.csv", "b.csv"}


def test_data_without_a_repository_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "trips.csv", TRIPS)
    with pytest.raises(DataError, match=r"neither DVC nor Git tracks .*trips\.csv"):
        data_versions.describe(str(file))
    assert data_versions.describe(str(file), allow_unversioned=True)["commit"] == ""


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("data/taxy", "there is no data/taxy: no 'taxy' in .*/data\n  fix: similar names: taxi"),
        ("data/taxy/*.csv", "there is no data/taxy/\\*.csv: no 'taxy' in .*"),
        ("data/taxi/*.parquet", r"the pattern data/taxi/\*\.parquet matches no file"),
        ("empty", "the folder empty has no data files"),
        ("data@v9", "there is no revision 'v9' in .*repository\n  fix: similar: v2, v1"),
        ("data/taxy@v1", "there is no data/taxy@v1: no 'taxy' in data of that revision\n  fix: .*: taxi"),
        ("dada@v1", "there is no dada@v1: no 'dada' in . of that revision\n  fix: .*: data"),
        ("data/*.parquet@v1", r"the pattern data/\*\.parquet@v1 matches no file"),
    ],
)
def test_missing_data_are_refused(repository: Path, path: str, text: str) -> None:
    (repository / "empty").mkdir()
    with pytest.raises(UserError, match=text):
        data_versions.describe(path)


@pytest.mark.parametrize("path", ["data/taxi/trips.csv", "data/taxi", "data"])
def test_removed_data_can_be_restored_as_the_message_says(repository: Path, path: str) -> None:
    shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
    run_suggested(refusal(path))
    assert data_versions.describe(path)["versioned"]


def test_tracked_data_that_were_not_pulled_are_refused(repository: Path) -> None:
    shutil.rmtree(repository / "data")
    shutil.rmtree(repository / ".dvc/cache")
    with pytest.raises(DataError, match=r"data/taxi is missing, but data\.dvc tracks it\n  fix: dvc pull data\.dvc"):
        data_versions.describe("data/taxi")


def test_a_link_into_a_cleared_cache_is_refused(repository: Path) -> None:
    dvc(repository, "config", "cache.type", "symlink")
    dvc(repository, "checkout", "--relink")
    assert content("data/taxi/trips.csv") == {"trips.csv": MORE_TRIPS}
    shutil.rmtree(repository / ".dvc/cache")
    with pytest.raises(DataError, match=r"trips\.csv of .*data\.dvc is missing or a broken link\n  fix: dvc pull"):
        data_versions.describe("data/taxi")


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\nouts:\n=======\n", "outs: 7\n", "- a\n", "outs:\n- path: data\n", ""])
def test_an_invalid_dvc_file_is_refused(repository: Path, text: str) -> None:
    write(repository / "data.dvc", text)
    with pytest.raises(UserError, match=r"data\.dvc is not a valid \.dvc file"):
        data_versions.describe("data/taxi")


def test_an_invalid_dvc_yaml_is_refused(repository: Path) -> None:
    write(repository / "loose.csv", TRIPS)
    write(repository / "dvc.yaml", "stages: 7\n")
    with pytest.raises(UserError, match="DVC cannot read"):
        data_versions.describe("loose.csv")


# Revisions


def test_a_folder_at_a_revision_is_checked_out(repository: Path) -> None:
    before = dvc_hash_at(repository, "v1")
    with data_versions.resolve("data/taxi@v1") as version:
        folder = version.path
        assert (folder / "trips.csv").read_text() == TRIPS
        assert version.files == [folder / "trips.csv", folder / "years/2013/fähre.csv"]
        assert version.record == {
            "path": "data/taxi",
            "revision": "v1",
            "commit": git(repository, "rev-parse", "v1"),
            "dvc_file": "data.dvc",
            "dvc_hash": before,
            "versioned": True,
            "content": version.record["content"],
        }
        assert version.record == data_versions.describe("data/taxi@v1")
    assert not folder.exists()
    assert (repository / "data/taxi/trips.csv").read_text() == MORE_TRIPS


def dvc_hash_at(folder: Path, revision: str) -> str:
    return git(folder, "show", f"{revision}:data.dvc").split("md5: ")[1].split()[0]


@pytest.mark.parametrize(
    "revision", ["v1", "HEAD~1", "main^", "HEAD@{1}", "main@{1}", "tags/v1", "commit", "short commit"]
)
def test_revisions_may_be_tags_branches_or_commits(repository: Path, revision: str) -> None:
    full = git(repository, "rev-parse", "v1")
    revision = {"commit": full, "short commit": full[:8]}.get(revision, revision)
    assert data_versions.describe(f"data/taxi@{revision}")["commit"] == full


def test_the_same_content_has_the_same_digest(repository: Path) -> None:
    for path in ("data", "data/taxi", "data/taxi/trips.csv", "data/**/*.csv"):
        assert data_versions.describe(path)["content"] == data_versions.describe(f"{path}@v2")["content"]
    assert data_versions.describe("data")["content"] != data_versions.describe("data@v1")["content"]


def test_files_and_globs_at_a_revision_are_checked_out(repository: Path) -> None:
    write(repository / "sets/a.csv", "a")
    write(repository / "sets/b.csv", "b")
    dvc(repository, "add", "sets/a.csv")
    git(repository, "add", "sets/b.csv")
    commit(repository, "v3")
    shutil.rmtree(repository / "sets")
    assert content("sets/a.csv@v3") == {"a.csv": "a"}
    assert content("sets/*@v3") == {"a.csv": "a", "b.csv": "b"}
    assert content("*/b.csv@v3") == {"sets/b.csv": "b"}
    assert data_versions.describe("sets@v3")["dvc_file"] == "sets/a.csv.dvc"


def test_paths_may_contain_an_at_sign(repository: Path) -> None:
    write(repository / "data/taxi@v1.csv", "at")
    dvc(repository, "add", "data")
    commit(repository, "v3")
    assert content("data/taxi@v1.csv") == {"taxi@v1.csv": "at"}
    assert content("data/*@v1.csv") == {"taxi@v1.csv": "at"}
    assert content("data/taxi@v1.csv@v3") == {"taxi@v1.csv": "at"}
    assert data_versions.describe("data/taxi@v1.csv")["revision"] == ""


# DVC leaves files of its clone open; collect them here, not in another test.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_data_are_read_from_a_repository_at_a_url(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dvc(repository, "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    dvc(repository, "push")
    commit(repository, "v3")
    here = data_versions.describe("data/taxi@v3")
    monkeypatch.chdir(tmp_path)
    url = repository.as_uri()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    record = data_versions.describe("data/taxi@v3", repo=url)
    assert record == {**here, "repo": url}
    assert content("data/taxi/trips.csv", repo=url) == {"trips.csv": MORE_TRIPS}
    assert not list((tmp_path / "temporary").iterdir())
    with pytest.raises(ServiceError, match="cannot be cloned"):
        data_versions.describe("data/taxi", repo=f"{url}-not")
    with pytest.raises(UserError, match="there is no revision 'v9'"):
        data_versions.describe("data/taxi@v9", repo=url)
    gc.collect()


def test_records_contain_no_credentials() -> None:
    url = "https://user:secret@example.org/a@b.git"
    assert dvc_revisions.without_credentials(url) == "https://example.org/a@b.git"


# DVC's stores


def test_data_are_read_from_a_local_remote(repository: Path, tmp_path: Path) -> None:
    dvc(repository, "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    dvc(repository, "push")
    shutil.rmtree(repository / ".dvc/cache")
    assert content("data/taxi/trips.csv@v2") == {"trips.csv": MORE_TRIPS}


def test_data_that_no_store_has_are_refused(repository: Path, tmp_path: Path) -> None:
    shutil.rmtree(repository / ".dvc/cache")
    with pytest.raises(
        ServiceError, match=r"data@v1 are not in the cache, and no remote(.|\n)*dvc remote add --default"
    ):
        data_versions.describe("data@v1")
    dvc(repository, "remote", "add", "--default", "storage", str(tmp_path / "storage"))
    with pytest.raises(ServiceError, match=r"nor from the remote 'storage'(.|\n)*dvc fetch --all-commits"):
        data_versions.describe("data@v1")


def test_a_damaged_copy_in_the_cache_is_refused(repository: Path) -> None:
    digest = hashlib.md5(TRIPS.encode()).hexdigest()
    cached = repository / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    cached.chmod(0o644)
    cached.write_text(TRIPS.replace("12.5", "12.6"))
    with (
        pytest.raises(DataError, match=f"trips.csv in DVC's cache or remote is damaged: expected {digest}, found"),
        data_versions.resolve("data/taxi/trips.csv@v1"),
    ):
        pytest.fail("a damaged copy was read")


@pytest.mark.parametrize(
    "name", ["../../evil.csv", "/etc/evil.csv", "a/../../../evil.csv", "..", "a//b.csv", "./a.csv"]
)
def test_names_that_lead_out_of_the_folder_are_refused(repository: Path, name: str) -> None:
    evil = hashlib.md5(b"evil").hexdigest()
    listing = json.dumps([{"md5": evil, "relpath": name}, {"md5": evil, "relpath": "ok.csv"}])
    folder = hashlib.md5(listing.encode()).hexdigest()
    for digest, text in ((evil, "evil"), (f"{folder}.dir", listing)):
        write(repository / ".dvc/cache/files/md5" / digest[:2] / digest[2:], text)
    write(repository / "evil.dvc", f"outs:\n- {{md5: {folder}.dir, hash: md5, path: evil}}\n")
    commit(repository, "v3")
    with (
        pytest.raises(DataError, match=r"refused: the data list a file .* outside of their folder"),
        data_versions.resolve("evil@v3"),
    ):
        pytest.fail("a path outside of the folder was read")


# S3


@pytest.fixture
def bucket(aws: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    import s3fs

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    name = f"bucket-{abs(hash(tmp_path))}"
    aws.create_bucket(Bucket=name)
    yield name
    s3fs.S3FileSystem.clear_instance_cache()


def test_data_are_read_from_s3(repository: Path, bucket: str, s3_server: str, tmp_path: Path) -> None:
    dvc(repository, "remote", "add", "--default", "s3", f"s3://{bucket}/dvc")
    dvc(repository, "remote", "modify", "s3", "endpointurl", s3_server)
    dvc(repository, "push")
    commit(repository, "v3")
    git(tmp_path, "clone", "--quiet", str(repository), "clone")
    clone = tmp_path / "clone"
    # v2 had no remote yet, so the current settings apply.
    assert content("data/taxi@v2", repo=str(clone)) == {"trips.csv": MORE_TRIPS, "years/2013/fähre.csv": TRIPS}
    with pytest.raises(DataError, match=r"fix: dvc --cd .*clone pull data\.dvc"):
        data_versions.describe("data/taxi", repo=str(clone))
    dvc(clone, "pull")
    assert content("data/taxi/trips.csv", repo=str(clone)) == {"trips.csv": MORE_TRIPS}


def test_an_unreachable_s3_is_reported(repository: Path, bucket: str) -> None:
    dvc(repository, "remote", "add", "--default", "s3", f"s3://{bucket}/dvc")
    dvc(repository, "remote", "modify", "s3", "endpointurl", "http://127.0.0.1:9")
    shutil.rmtree(repository / ".dvc/cache")
    with pytest.raises(
        ServiceError, match=r"can be read neither from the cache nor from the remote 's3': .*127\.0\.0\.1:9"
    ):
        data_versions.describe("data@v1")


def test_plain_files_in_s3_are_read(bucket: str) -> None:
    import boto3

    client = boto3.client("s3")
    for name in ("raw/trips.csv", "raw/years/2013.csv", "raw/.hidden"):
        client.put_object(Bucket=bucket, Key=name, Body=TRIPS.encode())
    with pytest.raises(DataError, match=f"dvc import-url s3://{bucket}/raw` makes a tracked copy; or accept"):
        data_versions.describe(f"s3://{bucket}/raw")
    first = data_versions.describe(f"s3://{bucket}/raw", allow_unversioned=True)
    assert (first["path"], first["versioned"]) == (f"s3://{bucket}/raw", False)
    assert content(f"s3://{bucket}/raw", allow_unversioned=True) == {"trips.csv": TRIPS, "years/2013.csv": TRIPS}
    assert content(f"s3://{bucket}/raw/*.csv", allow_unversioned=True) == {"trips.csv": TRIPS}
    assert content(f"s3://{bucket}/raw/trips.csv", allow_unversioned=True) == {"trips.csv": TRIPS}
    client.put_object(Bucket=bucket, Key="raw/trips.csv", Body=MORE_TRIPS.encode())
    assert data_versions.describe(f"s3://{bucket}/raw", allow_unversioned=True)["content"] != first["content"]
    for path in ("nothing", "raw/*.parquet"):
        with pytest.raises(DataError, match="there is nothing at"):
            data_versions.describe(f"s3://{bucket}/{path}", allow_unversioned=True)


def test_a_missing_store_is_reported() -> None:
    with pytest.raises(UserError, match="nope://bucket/a cannot be read: Protocol not known: nope"):
        data_versions.describe("nope://bucket/a", allow_unversioned=True)
