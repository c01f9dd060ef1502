"""Reads settings from YAML files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from components.contract.errors import UserError


def read(file: Path, fix: str) -> Any:
    """What is in a YAML file.

    Args:
        file: The file.
        fix: What a user can do if there is no such file.

    Raises:
        UserError: It cannot be read, or is not YAML.
    """
    try:
        return yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}", fix=fix) from error
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {error}", fix="correct it") from error
