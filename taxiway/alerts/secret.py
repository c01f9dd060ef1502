"""Secrets of the ways out: in an environment variable or a file, never in the settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from components.contract.errors import UserError


@dataclass(frozen=True)
class Secret:
    """Where a secret is.

    Attributes:
        place: `env:NAME` or `file:PATH`.
    """

    place: str

    def read(self) -> str:
        """The secret; read again each time, so that it can be renewed.

        Raises:
            UserError: It is not there.
        """
        kind, _, name = self.place.partition(":")
        if kind == "env":
            if not (found := os.environ.get(name, "")):
                raise UserError(f"the environment variable {name} has no secret", fix=f"set {name}")
            return found
        try:
            return Path(name).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            raise UserError(
                f"the file {name} with a secret cannot be read: {reason}", fix=f"write it to {name}"
            ) from error


def secret(given: str, where: str) -> Secret:
    """Parses `env:NAME` or `file:PATH`.

    Raises:
        UserError: It is something else, perhaps the secret itself, which is not repeated.
    """
    kind, colon, name = given.partition(":")
    if kind not in ("env", "file") or not colon or not name:
        raise UserError(f"{where} says not where the secret is", fix="write env:NAME or file:PATH")
    return Secret(given)


def is_secret(given: str) -> bool:
    """Whether a text names a secret."""
    return given.startswith(("env:", "file:"))
