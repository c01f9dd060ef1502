"""Commands in messages, in a form that the user can type in the working folder."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def checkout() -> Path:
    """The folder that contains Taxiway's packages."""
    return Path(__file__).parents[2]


def typed(words: str, *arguments: str | Path) -> str:
    """A command line: the words unchanged, then the arguments, quoted if necessary.

    Programs of the environment get the path of the `taxiway` that was called: `bin/dvc add data`. `make` means the
    checkout's Makefile, from any folder; a program with a `/` in its name, such as `docker/engine`, is in the checkout.
    """
    program, *others = words.split()
    return " ".join([*_found(program), *others, *(shlex.quote(str(argument)) for argument in arguments)])


def shown(path: Path) -> str:
    """A path relative to the working folder, or absolute if it is elsewhere."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _found(program: str) -> list[str]:
    if program == "make":
        elsewhere = (checkout() / "Makefile").is_file() and Path.cwd() != checkout()
        return ["make", "-C", shlex.quote(str(checkout()))] if elsewhere else ["make"]
    if "/" in program:
        place = checkout() / program
        return [shlex.quote(program if Path.cwd() == checkout() or not place.exists() else str(place))]
    called = os.environ.get("TAXIWAY_COMMAND", "")
    if program == "taxiway" and called:
        return [shlex.quote(called)]
    # If the command is a symbolic link, the other programs are beside its target.
    beside = [Path(called).with_name(program), Path(called).resolve().with_name(program)] if "/" in called else []
    return [shlex.quote(next((str(path) for path in beside if path.exists()), program))]
