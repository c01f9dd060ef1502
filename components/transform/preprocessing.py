"""The user's preprocessing_fn: found, given its custom_config, and called with errors that name the user's line."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

from components.contract.errors import UserError
from components.user_code import user_modules

PreprocessingFn = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_NAME = "preprocessing_fn"


def load_preprocessing_fn(module: str, custom_config: Mapping[str, Any]) -> PreprocessingFn:
    """A module's `preprocessing_fn` as a function of its inputs alone; a Beam worker loads it from the module itself.

    A call raises UserError for any exception of the user's code, and if it returns anything but tensors by name.
    """
    return _Preprocessing(module, custom_config, user_modules.load(module, _NAME))


def config_arguments(function: Callable[..., Any], custom_config: Mapping[str, Any]) -> dict[str, Any]:
    """`custom_config` for a function that takes an argument of that name, as TFX passes it; else nothing."""
    return {"custom_config": dict(custom_config)} if "custom_config" in inspect.signature(function).parameters else {}


class _Preprocessing:
    def __init__(self, module: str, custom_config: Mapping[str, Any], function: Callable[..., Any]) -> None:
        self._module = module
        self._custom_config = custom_config
        self._function = function

    def __call__(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        config = config_arguments(self._function, self._custom_config)
        outputs = user_modules.call(self._function, inputs, **config)
        if not isinstance(outputs, dict) or not outputs:
            returned = "an empty dictionary" if isinstance(outputs, dict) else type(outputs).__name__
            raise UserError(
                f"preprocessing_fn in {self._function.__code__.co_filename} returned {returned}",
                fix="return a dictionary of tensors by feature name",
            )
        return outputs

    def __reduce__(self) -> tuple[Any, ...]:
        return _loaded, (self._module, self._custom_config)


def _loaded(module: str, custom_config: Mapping[str, Any]) -> PreprocessingFn:
    """The function in the process that unpickles it, where the module may be loaded already."""
    path = user_modules.source_file(module)
    there = sys.modules.get(path.stem if module.endswith(".py") else module)
    if there is None or getattr(there, "__file__", None) != str(path):
        return load_preprocessing_fn(module, custom_config)
    return _Preprocessing(module, custom_config, getattr(there, _NAME))
