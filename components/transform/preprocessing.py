"""The user's preprocessing_fn: found, given its custom_config, and called with errors that name the user's line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from components import user_modules
from components.errors import UserError

PreprocessingFn = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def load_preprocessing_fn(module: str, custom_config: Mapping[str, Any]) -> PreprocessingFn:
    """A module's `preprocessing_fn` as a function of its inputs alone.

    Called, it raises UserError for whatever the user's code raises, and where it returns anything but tensors by name.
    """
    function = user_modules.load(module, "preprocessing_fn")
    return functools.partial(_call, function, config_arguments(function, custom_config))


def config_arguments(function: Callable[..., Any], custom_config: Mapping[str, Any]) -> dict[str, Any]:
    """`custom_config` for a function that takes an argument of that name, as TFX hands it over; else nothing."""
    return {"custom_config": dict(custom_config)} if "custom_config" in inspect.signature(function).parameters else {}


def _call(function: Callable[..., Any], config: Mapping[str, Any], inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    outputs = user_modules.call(function, inputs, **config)
    if not isinstance(outputs, dict) or not outputs:
        returned = "an empty dictionary" if isinstance(outputs, dict) else type(outputs).__name__
        raise UserError(
            f"preprocessing_fn in {function.__code__.co_filename} returned {returned}",
            mend="return a dictionary of tensors by feature name",
        )
    return outputs
