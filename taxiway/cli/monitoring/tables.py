"""The arguments by which all commands find a model's tables."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")]
Tables = Annotated[
    str, typer.Option(metavar="ROOT", help="Folder or URL with the tables of all models; default: .taxiway/monitoring.")
]


def root(tables: str) -> str:
    """The folder or URL with the tables of all models."""
    from taxiway.storage.home import Home

    return (tables or str(Home.default().monitoring)).rstrip("/")


def folder(tables: str, model: str) -> str:
    """The folder or URL with a model's tables."""
    return f"{root(tables)}/{model}"
