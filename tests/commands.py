"""Command lines as people type them: whether the programs would take them, without running them."""

from __future__ import annotations

import shlex
from typing import Any

import typer.main

from taxiway import cli


def refusal(line: str) -> str:
    """Why a `taxiway` command line is none; empty where the command and its options are known."""
    program, name, *options = shlex.split(line)
    assert program.rpartition("/")[2] == "taxiway"
    group: Any = typer.main.get_command(cli.app)
    if name not in group.commands:
        return f"there is no command {name}"
    try:
        group.commands[name].make_context(name, options)
    except typer.Exit:
        pass
    except Exception as error:  # typer's own, which have no public name
        return str(error)
    return ""
