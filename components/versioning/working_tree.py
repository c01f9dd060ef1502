"""Compares files with DVC's .dvc files and Git's last commit."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.contract.commands import shown, typed
from components.contract.errors import DataError
from components.versioning import dvc_outputs
from components.versioning.dvc_outputs import HashFile, TrackedOutput, about, repository_root

_NAMED = 3  # the number of files that a message about a difference names

ALLOW_UNVERSIONED = "ExampleGen(..., allow_unversioned=True)"
"""How a pipeline accepts data that differ from their version; callers that know the pipeline may know a shorter way."""

Select = Callable[[Iterable[Path]], list[Path]]
"""Selects the files of a folder that are read."""


@dataclass(frozen=True)
class Difference:
    """Tracked data that have changed: the two hashes, the commands that resolve it, and the files."""

    what: str
    expected: str
    found: str
    fix: str
    files: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The files' hashes, and how they differ from the versioned ones.

    Attributes:
        commit: Git's last commit; empty if there is none.
        contents: `<algorithm>:<hex>` by file.
        outputs: DVC's hash of each output that contains one of the files, by its .dvc or dvc.lock file.
        differences: The changed DVC outputs and Git files.
        untracked: The files that neither DVC nor Git tracks.
        new: The untracked files in a folder that DVC tracks, which were not added yet.
    """

    commit: str
    contents: dict[Path, str]
    outputs: dict[str, str]
    differences: list[Difference]
    untracked: list[Path]
    new: list[Path]


def compare(base: Path, files: list[Path], select: Select, hash_file: HashFile) -> Comparison:
    """Compares files at or below a base with DVC's hashes, or with Git if DVC does not track them.

    If DVC tracks a larger folder, only its files at or below the base count, provided that DVC's cache has its listing.
    """
    commit = _git(base if base.is_dir() else base.parent, "rev-parse", "HEAD").strip()
    outputs = dvc_outputs.tracked_outputs(files)
    in_dvc, differences = _compared_with_dvc(base, outputs, select, hash_file)
    # A file that .dvcignore excludes is inside an output, but not part of it.
    rest = [file for file in files if file not in in_dvc]
    in_git, changed = _compared_with_git(base, rest)
    holders = dict.fromkeys(outputs[file] for file in files if file in in_dvc)
    untracked = [file for file in rest if file not in in_git]
    return Comparison(
        commit=commit,
        contents={file: in_dvc.get(file) or f"sha256:{hash_file(file, 'sha256')}" for file in files},
        outputs={_in_repository(output.dvc_file): output.digest for output in holders},
        differences=differences + changed,
        untracked=untracked,
        new=[file for file in untracked if not differences and file in outputs and not dvc_outputs.is_ignored(file)],
    )


def refuse_unversioned(found: Comparison, allow: str = ALLOW_UNVERSIONED) -> None:
    """Refuses changed and untracked data, but accepts new files in a folder that DVC tracks.

    Raises:
        DataError: With the two hashes and the commands that resolve it, or the command that tracks the file.
    """
    if found.differences:
        first = found.differences[0]
        what = f"{first.what}: expected {first.expected}, found {first.found}" + f" ({first.files})" * bool(first.files)
        raise DataError(what, fix=f"{first.fix}; or accept the data unversioned: {allow}")
    if refused := [file for file in found.untracked if file not in found.new]:
        others = f" and {len(refused) - 1} others" if len(refused) > 1 else ""
        what = f"neither DVC nor Git tracks {shown(refused[0])}{others}"
        raise DataError(what, fix=f"{_tracking(refused[0])}; or accept the data unversioned: {allow}")


def _tracking(file: Path) -> str:
    """How to make DVC track a file."""
    if dvc_outputs.is_ignored(file):
        return f"remove the pattern that excludes it from .dvcignore, then track it with `{about('dvc', 'add', file)}`"
    if repository_root(file.parent, ".dvc"):
        return f"track it with `{about('dvc', 'add', file)}`"
    if home := repository_root(Path.cwd(), ".dvc"):
        place = shown(home / "data" if (home / "data").is_dir() else home)
        add = typed("dvc add", Path(place, file.name))
        return f"copy it with `{typed('cp', file, place)}`, track the copy with `{add}`, and use the copy's path"
    top = repository_root(file.parent, ".git")
    start = typed("dvc --cd", top or file.parent, "init", *([] if top else ["--no-scm"]))
    return f"track it with `{start}`, then `{typed('dvc --cd', file.parent, 'add', file.name)}`"


def _compared_with_dvc(
    base: Path, outputs: Mapping[Path, TrackedOutput], select: Select, hash_file: HashFile
) -> tuple[dict[Path, str], list[Difference]]:
    contents: dict[Path, str] = {}
    differences = []
    for output in sorted(set(outputs.values()), key=lambda output: output.path):
        present = [file for file, holder in outputs.items() if holder == output]
        hashes, changes = _compared(output, base, present, select, hash_file)
        contents |= {file: f"{output.algorithm}:{digest}" for file, digest in hashes.items()}
        differences += changes
    return contents, differences


def _compared(
    output: TrackedOutput, base: Path, present: list[Path], select: Select, hash_file: HashFile
) -> tuple[dict[Path, str], list[Difference]]:
    """The hashes of the files in an output that DVC tracks, and how they differ."""
    is_part = base.is_relative_to(output.path) and output.dvc_file.suffix == ".dvc"
    if is_part and (tracked := dvc_outputs.tracked_files(output)):
        return _compared_in_part(
            output, tracked=tracked, base=base, present=present, select=select, hash_file=hash_file
        )
    hashes = dvc_outputs.content_hashes(output, hash_file)
    found = dvc_outputs.output_digest(output, hashes)
    if found == output.digest:
        return hashes, []
    if is_part and (tracked := dvc_outputs.tracked_files(output, everywhere=True)):
        return _compared_in_part(
            output, tracked=tracked, base=base, present=present, select=select, hash_file=hash_file
        )
    return hashes, [Difference(_differs(output), output.digest, found, _settling(output))]


def _compared_in_part(
    output: TrackedOutput,
    *,
    tracked: Mapping[Path, str],
    base: Path,
    present: list[Path],
    select: Select,
    hash_file: HashFile,
) -> tuple[dict[Path, str], list[Difference]]:
    """Like `_compared`, for the part of a folder that is read: its other files do not matter."""
    wanted = {file: tracked[file] for file in select(file for file in tracked if file.is_relative_to(base))}
    if not wanted:
        return {}, []
    hashes = dvc_outputs.file_hashes(output, present, hash_file)
    if hashes == wanted:
        return hashes, []
    others = {file: digest for file, digest in tracked.items() if file not in wanted}
    odd = sorted(file for file in wanted.keys() | hashes.keys() if wanted.get(file) != hashes.get(file))
    named = ", ".join(f"{shown(file)} is {_change(file, wanted, hashes)}" for file in odd[:_NAMED])
    difference = Difference(
        _differs(output),
        output.digest,
        dvc_outputs.listing_digest(output, others | hashes),
        _settling_part(odd, [file for file in odd if file in wanted], base),
        named + f" and {len(odd) - _NAMED} others" * (len(odd) > _NAMED),
    )
    return {file: digest for file, digest in hashes.items() if file in wanted}, [difference]


def _settling_part(odd: list[Path], tracked: list[Path], base: Path) -> str:
    """The commands for some files of a folder; restoring the whole folder would delete files that were not added."""
    accept = f"`{about('dvc', 'add', *(odd if len(odd) <= _NAMED else [base]))}` accepts the current data"
    if not tracked:
        return f"{accept}; or move the new files elsewhere"
    many = len(tracked) > _NAMED and tracked == odd
    restore = about("dvc", "checkout --force", *([base] if many else tracked))
    return f"`{restore}` restores the tracked data; {accept}"


def _change(file: Path, wanted: Mapping[Path, str], found: Mapping[Path, str]) -> str:
    return "gone" if file not in found else "changed" if file in wanted else "new"


def _settling(output: TrackedOutput) -> str:
    """The commands for a whole output."""
    own_file = output.dvc_file.suffix == ".dvc"
    is_kept = not output.digest.endswith(".dir") or dvc_outputs.tracked_files(output, everywhere=True)
    file = output.dvc_file if own_file else output.path
    restore = about("dvc", "checkout --force" if is_kept else "pull --force", file)
    accept = about("dvc", "add" if own_file else "commit --force", output.path)
    return f"`{restore}` restores the tracked data; `{accept}` accepts the current data"


def _differs(output: TrackedOutput) -> str:
    return f"{shown(output.path)} differs from {shown(output.dvc_file)}"


def _compared_with_git(base: Path, files: list[Path]) -> tuple[set[Path], list[Difference]]:
    """The files that Git tracks, and those of them that differ from the last commit."""
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
    restore, accept = about("git", "checkout HEAD --", file), about("git", "commit -m MESSAGE", file)
    fix = f"`{restore}` restores it; `{accept}` accepts the current file"
    return Difference(f"{shown(file)} differs from Git's last commit", committed, present, fix)


def _git_names(root: Path, *arguments: str) -> set[Path]:
    return {root / name for name in _git(root, *arguments).split("\0") if name}


def _git(folder: Path, *arguments: str) -> str:
    """What a Git command prints; nothing if it fails, for instance without a repository or commits."""
    # Without optional locks, a killed process leaves no lock in the user's repository.
    command = ["git", "--no-optional-locks", "--literal-pathspecs", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return ""
    return os.fsdecode(done.stdout) if done.returncode == 0 else ""


def _in_repository(dvc_file: Path) -> str:
    roots = (repository_root(dvc_file.parent, marker) for marker in (".git", ".dvc"))
    return dvc_file.relative_to(next(filter(None, roots), dvc_file.parent)).as_posix()
