"""Checks whether programs accept command lines, without running them."""

from __future__ import annotations

import shlex
from typing import Any

import typer.main

from taxiway import cli


def refusal(line: str) -> str:
    """Why a `taxiway` command line is invalid; empty if the command and its options exist."""
    program, name, *options = shlex.split(line)
    assert program.rpartition("/")[2] == "taxiway"
    group: Any = typer.main.get_command(cli.app)
    if name not in group.commands:
        return f"there is no command {name}"
    command = group.commands[name]
    try:
        if hasattr(command, "commands"):  # a group of commands
            name, command, options = command.resolve_command(command.context_class(command), options or [""])
        command.make_context(name, options)
    except typer.Exit:
        pass
    except Exception as error:  # typer's own, which have no public name
        return str(error)
    return ""


def known_options() -> dict[str, set[str]]:
    """The options of each `taxiway` command; those of a group are its commands' as well."""
    group: Any = typer.main.get_command(cli.app)
    return {name: _options(command) for name, command in group.commands.items()}


def _options(command: Any) -> set[str]:
    own = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
    return own.union(*map(_options, getattr(command, "commands", {}).values()))
