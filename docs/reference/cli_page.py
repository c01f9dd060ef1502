"""Generates `cli.md` from the commands' help: `make docs-pages`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from taxiway import cli

FILE = Path(__file__).parent / "cli.md"
_HEAD = """# Commands

Generated from the commands' help (`make docs-pages`); a test compares them. `taxiway COMMAND --help` prints the same.
"""


def page() -> str:
    """Every command with its arguments and options, in Markdown."""
    group: Any = typer.main.get_command(cli.app)
    sections = [_section(name, command) for name, command in _commands(group)]
    return "\n".join([_HEAD, *sections])


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The commands by name, with those of groups: `inference show`."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def _section(name: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = " ".join(["taxiway", name, *(_shown(a) for a in arguments), *(["[OPTIONS]"] if options else [])])
    rows = [f"| `{_metavar(a)}` | {a.help or ''} | {_default(a)} |" for a in arguments]
    rows += [f"| {_names(o)} | {o.help or ''} | {_default(o)} |" for o in options]
    table = ["| option | description | default |", "| --- | --- | --- |", *rows] if rows else []
    return "\n".join([f"## {name}", "", command.help, "", f"`{usage}`", "", *table, ""])


def _shown(argument: Any) -> str:
    name = _metavar(argument)
    return name if argument.required else f"[{name}]"


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _names(option: Any) -> str:
    value = "" if option.is_flag else f" {_value(option)}"
    names = ", ".join(f"`{name}`" for name in [*option.opts[:-1], f"{option.opts[-1]}{value}"])
    off = "".join(f", `{name}`" for name in option.secondary_opts)
    return names + off + (", repeatable" if option.multiple else "")


def _value(option: Any) -> str:
    """`FILE`, `INT`, or the choices."""
    kind = str(option.display_type(None)).strip("<>").removesuffix(" range")
    return option.metavar or (kind.replace("|", r"\|") if "|" in kind else kind.upper())


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    value = parameter.default
    return f"`{value}`" if isinstance(value, int | float | str) and not isinstance(value, bool) and value != "" else ""


def main() -> None:
    """Writes the page."""
    FILE.write_text(page())


if __name__ == "__main__":
    main()
