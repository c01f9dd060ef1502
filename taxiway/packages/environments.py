"""Virtual environments of tasks: what a task installs goes into its own, layered on Taxiway's, which never changes.

There are up to three layers. The top one belongs to a single task and is removed with it. The next one exists only for
commands that start with kfp's `pip install`; it contains those packages, and is kept. The bottom one is Taxiway's. Each
sees the packages of the layers below, which pip regards as installed and does not change.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import site
import sys
import sysconfig
import venv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from components.contract.digests import text_digest

# These variables make pip and uv ignore the active environment.
_MISLEADING = {
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
}
_READY = "ready"

CANNOT_INSTALL = (
    f"they cannot be installed for Python {sys.version_info.major}.{sys.version_info.minor} here\n"
    "  fix: use other versions, or run the pipeline with --runner docker, with each component in its own image"
)

Installs = tuple[tuple[str, ...], ...]
"""The arguments of each `pip install`."""


def make(folder: Path, below: tuple[Path, ...] = ()) -> None:
    """Creates an environment on top of Taxiway's and the given ones, nearest first."""
    venv.EnvBuilder(symlinks=True).create(folder)
    packages = _packages(folder)
    seen = [*map(_packages, below), *_own_packages()]
    # First as paths, which pip's isolated builds know to exclude; then with addsitedir, for the .pth files in them.
    lines = [*map(str, seen), *(f"import site; site.addsitedir({str(path)!r})" for path in seen)]
    (packages / "below.pth").write_text("\n".join(lines) + "\n")
    if importlib.util.find_spec("pip"):
        for name in ("pip", "pip3", f"pip3.{sys.version_info.minor}"):
            script = folder / "bin" / name
            script.write_text('#!/bin/sh\nexec "$(dirname "$0")/python3" -m pip "$@"\n')
            script.chmod(0o755)


def inherited() -> dict[str, str]:
    """The runner's environment variables, without those that make tools ignore the active environment."""
    return {name: value for name, value in os.environ.items() if name not in _MISLEADING}


def activated(variables: Mapping[str, str], *folders: Path) -> dict[str, str]:
    """Variables that activate the first of these environments, which is layered on the others."""
    programs = [*(str(folder / "bin") for folder in folders), str(Path(sys.executable).parent)]
    return {
        # Do not write bytecode into the layers below.
        "PYTHONDONTWRITEBYTECODE": "1",
        "PIP_USER": "0",
        **variables,
        "PATH": os.pathsep.join([*programs, variables.get("PATH", os.defpath)]),
        "VIRTUAL_ENV": str(folders[0]),
    }


def enter(folder: Path) -> None:
    """Switches this process from Taxiway's environment to one on top of it."""
    sys.executable = str(folder / "bin" / "python3")
    places = [sys.path.index(path) for path in map(str, _own_packages()) if path in sys.path]
    sys.path.insert(min(places, default=len(sys.path)), str(_packages(folder)))


def kept(root: Path, installs: Installs, variables: Mapping[str, str]) -> Path:
    """The folder of the kept environment for these installs on top of the currently installed packages."""
    below = [sorted(entry.name for entry in path.glob("*.dist-info")) for path in _own_packages()]
    settings = {name: value for name, value in variables.items() if name.startswith("PIP_")}
    known = [sys.version, sys.executable, below, installs, settings]
    return root / text_digest(json.dumps(known, sort_keys=True))[7:23]


def is_ready(folder: Path) -> bool:
    """Whether a kept environment is complete."""
    return (folder / _READY).is_file()


def set_ready(folder: Path) -> None:
    """Marks a kept environment as complete."""
    (folder / _READY).touch()


def names(installs: Installs) -> list[str]:
    """The names of the packages, for messages."""
    return [word for arguments in installs for word in _without_settings(arguments) if word not in _FLAGS]


def pip_install(folder: Path, arguments: tuple[str, ...]) -> list[str]:
    """The command that installs packages into an environment."""
    # kfp's compiler makes components install kfp itself; old versions declare a Python range that is too narrow.
    any_python = all(word.startswith(("kfp==", "typing-extensions")) for word in names((arguments,)))
    options = ["--disable-pip-version-check", *(["--ignore-requires-python"] if any_python else [])]
    return [str(folder / "bin" / "python3"), "-m", "pip", "install", *options, *arguments]


def _packages(folder: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))


def _own_packages() -> list[Path]:
    """The folders with the packages of this process's environment."""
    users = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [path for path in map(Path, [*site.getsitepackages(), *users]) if path.is_dir()]


# The script with which kfp's compiler makes a container install packages; source: kfp/dsl/component_factory.py, 2.0 to
# 2.17.
_WRAPPER = re.compile(
    r"""\s*(if ! \[ -x "\$\(command -v pip\)" \]; then\n.*?\nfi\n)?(?P<installs>.*?)&&\s*"\$0" "\$@"\s*""", re.DOTALL
)
# The part that creates kfp's own virtual environment (`use_venv`), which ours replaces.
_VENV = re.compile(
    r"""export PIP_DISABLE_PIP_VERSION_CHECK=1\ntmp=\$\(mktemp -d\)\n"""
    r"""python3 -m venv "\$tmp/venv" --system-site-packages\n\. "\$tmp/venv/bin/activate"\n"""
)
_PIP = ["python3", "-m", "pip", "install"]
_ASSIGNMENT = re.compile(r"PIP_DISABLE_PIP_VERSION_CHECK=1")
_PACKAGE = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w.,\s-]*\])?\s*([<>=!~][^/@]*)?(;.*)?", re.DOTALL)
_FLAGS = {"--quiet", "-q", "--no-warn-script-location", "--no-deps", "--pre", "--upgrade", "-U"}
_SETTINGS = {"--index-url", "-i", "--extra-index-url", "--trusted-host"}


def split_installs(words: list[str]) -> tuple[Installs, list[str]]:
    """Splits a command into the packages that kfp's compiler makes it install first, and the actual command.

    If the script contains anything else, or installs from a file or repository, whose content may change, it is not
    split: then the command runs unchanged in the task's own environment.
    """
    wrapped = _WRAPPER.fullmatch(words[2]) if words[:2] == ["sh", "-c"] and len(words) > 3 else None
    installs = _installs(_VENV.sub("", wrapped["installs"])) if wrapped else ()
    return (installs, words[3:]) if installs else ((), words)


def _installs(script: str) -> Installs:
    """The arguments of each `pip install` in a script; empty if it contains anything else."""
    try:
        commands = _commands(script)
    except ValueError:
        # An unterminated quote.
        return ()
    rest = [[word for word in words if not _ASSIGNMENT.fullmatch(word)] for words in commands]
    found = [tuple(words[4:]) for words in rest if words[:4] == _PIP and _is_plain(words[4:])]
    return tuple(found) if len(found) == len(list(filter(None, rest))) else ()


def _commands(script: str) -> list[list[str]]:
    """The words of each command in a script, separated by `&&` or newlines.

    Raises:
        ValueError: The script is incomplete.
    """
    lexer = shlex.shlex(script, posix=True, punctuation_chars="&|;()<>\n")
    lexer.whitespace, lexer.commenters = " \t", ""
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word.strip() in ("", "&&"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [command for command in commands if command]


def _is_plain(arguments: list[str]) -> bool:
    """Whether pip's arguments are only packages from an index, without variables that a shell would expand."""
    named = [word for word in _without_settings(arguments) if word not in _FLAGS]
    return all(_PACKAGE.fullmatch(word) for word in named) and not re.search(r"[$`]", "".join(arguments))


def _without_settings(arguments: Iterable[str]) -> Iterator[str]:
    waiting = iter(arguments)
    for word in waiting:
        if word in _SETTINGS:
            next(waiting, "")
        else:
            yield word
