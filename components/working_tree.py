"""Whether files are what DVC's .dvc files and Git's last commit say."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from components import dvc_outputs
from components.dvc_outputs import HashFile, TrackedOutput, repository_root
from components.errors import DataError

ALLOW_UNVERSIONED = "take the data as they are, unversioned: allow_unversioned=True (--param allow_unversioned=true)"


@dataclass(frozen=True)
class Difference:
    """Something tracked that is not as it was: the two hashes, and the commands that settle it."""

    what: str
    expected: str
    found: str
    mend: str


@dataclass(frozen=True)
class Comparison:
    """What files are, and what they should be.

    Attributes:
        commit: Git's last commit; empty where there is none.
        contents: `<algorithm>:<hex>` by file.
        outputs: DVC's hash of each output that holds one of the files, by .dvc or dvc.lock file in its repository.
        differences: Of DVC's outputs and Git's files.
        untracked: The files that neither tracks.
    """

    commit: str
    contents: dict[Path, str]
    outputs: dict[str, str]
    differences: list[Difference]
    untracked: list[Path]


def compare(base: Path, files: list[Path], hash_file: HashFile) -> Comparison:
    """Compares files at or below a base with DVC's hashes, and those that DVC does not track with Git."""
    commit = _git(base if base.is_dir() else base.parent, "rev-parse", "HEAD").strip()
    outputs = dvc_outputs.tracked_outputs(files)
    in_dvc, differences = _compared_with_dvc(sorted(set(outputs.values()), key=lambda output: output.path), hash_file)
    # A file that .dvcignore names lies in an output and is no part of it.
    rest = [file for file in files if file not in in_dvc]
    in_git, changed = _compared_with_git(base, rest)
    holders = dict.fromkeys(outputs[file] for file in files if file in in_dvc)
    return Comparison(
        commit,
        {file: in_dvc.get(file) or f"sha256:{hash_file(file, 'sha256')}" for file in files},
        {_in_repository(output.dvc_file): output.digest for output in holders},
        differences + changed,
        [file for file in rest if file not in in_git],
    )


def refuse_unversioned(found: Comparison) -> None:
    """Raises for what differs or is not tracked.

    Raises:
        DataError: With the two hashes and the commands that settle it, or the command that tracks the file.
    """
    if found.differences:
        first = found.differences[0]
        raise DataError(f"{first.what}: expected {first.expected}, found {first.found}", mend=first.mend)
    if found.untracked:
        file = shown(found.untracked[0])
        others = f" and {len(found.untracked) - 1} others" if len(found.untracked) > 1 else ""
        init = "" if repository_root(found.untracked[0].parent, ".dvc") else "dvc init, then "
        mend = f"track it with: {init}dvc add {file}; or {ALLOW_UNVERSIONED}"
        raise DataError(f"no .dvc file covers {file}{others}, and Git does not track it", mend=mend)


def shown(path: Path) -> str:
    """A path as one types it in the working folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _compared_with_dvc(outputs: list[TrackedOutput], hash_file: HashFile) -> tuple[dict[Path, str], list[Difference]]:
    contents: dict[Path, str] = {}
    differences = []
    for output in outputs:
        hashes = dvc_outputs.content_hashes(output, hash_file)
        contents |= {file: f"{output.algorithm}:{digest}" for file, digest in hashes.items()}
        found = dvc_outputs.output_digest(output, hashes)
        if found != output.digest:
            differences.append(_dvc_difference(output, found))
    return contents, differences


def _dvc_difference(output: TrackedOutput, found: str) -> Difference:
    data, dvc_file = shown(output.path), shown(output.dvc_file)
    own_file = output.dvc_file.suffix == ".dvc"
    restore, accept = (dvc_file, f"dvc add {data}") if own_file else (data, f"dvc commit {data}")
    mend = f"`dvc checkout {restore}` restores the tracked data, `{accept}` accepts the present; or {ALLOW_UNVERSIONED}"
    return Difference(f"{data} differs from {dvc_file}", output.digest, found, mend)


def _compared_with_git(base: Path, files: list[Path]) -> tuple[set[Path], list[Difference]]:
    """The files that Git tracks, and of them those that differ from the last commit."""
    root = repository_root(base, ".git")
    if not files or not root:
        return set(), []
    below = base.relative_to(root).as_posix()
    committed = _git_names(root, "ls-tree", "-r", "-z", "--name-only", "HEAD", "--", *([below] if below != "." else []))
    changed = _git_names(root, "diff", "-z", "--name-only", "HEAD", "--", below)
    tracked = committed & set(files)
    return tracked, [_git_difference(file, root) for file in sorted(tracked & changed)]


def _git_difference(file: Path, root: Path) -> Difference:
    committed = _git(root, "rev-parse", f"HEAD:{file.relative_to(root).as_posix()}").strip()
    present = _git(root, "hash-object", "--", str(file)).strip()
    name = shown(file)
    mend = f"`git checkout HEAD -- {name}` restores it, `git commit {name}` accepts the present; or {ALLOW_UNVERSIONED}"
    return Difference(f"{name} differs from Git's last commit", committed, present, mend)


def _git_names(root: Path, *arguments: str) -> set[Path]:
    return {root / name for name in _git(root, *arguments).split("\0") if name}


def _git(folder: Path, *arguments: str) -> str:
    """What a Git command prints; nothing where it fails, as in a folder without a repository or commits."""
    # A process that is killed is to leave no lock in the user's repository.
    command = ["git", "--no-optional-locks", "--literal-pathspecs", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return ""
    return os.fsdecode(done.stdout) if done.returncode == 0 else ""


def _in_repository(dvc_file: Path) -> str:
    roots = (repository_root(dvc_file.parent, marker) for marker in (".git", ".dvc"))
    return dvc_file.relative_to(next(filter(None, roots), dvc_file.parent)).as_posix()
