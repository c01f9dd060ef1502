"""Commands in messages, as the user can type them where he is."""

from __future__ import annotations

import os
import shlex
from pathlib import Path


def checkout() -> Path:
    """The folder that Taxiway's packages lie in."""
    return Path(__file__).parents[2]


def typed(words: str, *arguments: str | Path) -> str:
    """A command line: words as they are, then arguments, quoted where they have to be.

    Programs of the environment stand beside the `taxiway` that was called: `bin/dvc add data`. `make` is that of the
    checkout, from whichever folder, and what has a `/` in its name, as `docker/engine`, lies there.
    """
    program, *others = words.split()
    return " ".join([*_found(program), *others, *(shlex.quote(str(argument)) for argument in arguments)])


def shown(path: Path) -> str:
    """A path as one types it in the working folder."""
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
    # A link to the command has no others beside it.
    beside = [Path(called).with_name(program), Path(called).resolve().with_name(program)] if "/" in called else []
    return [shlex.quote(next((str(path) for path in beside if path.exists()), program))]
