"""What users import: for pipelines the stages and `resources`, for a module's `run_fn` the type of its argument.

    from taxiway.dsl import ExampleGen, Resources, Trainer, resources

Every stage in `components/` is here under its component's name. A name is loaded when it is first used: a stage brings
in kfp, and what a model's module needs does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from components.contract.declaration import component_name
from components.execution import stages

if TYPE_CHECKING:
    from kfp.dsl.container_component_class import ContainerComponent

    from components.trainer.fn_args import DataAccessor as DataAccessor
    from components.trainer.fn_args import FnArgs as FnArgs
    from taxiway.dsl.cluster_resources import Resources as Resources
    from taxiway.dsl.cluster_resources import Secret as Secret
    from taxiway.dsl.cluster_resources import Toleration as Toleration
    from taxiway.dsl.cluster_resources import Volume as Volume
    from taxiway.dsl.cluster_resources import resources as resources
    from taxiway.dsl.definitions import image as image

_FROM = {
    "DataAccessor": "components.trainer.fn_args",
    "FnArgs": "components.trainer.fn_args",
    "Resources": "taxiway.dsl.cluster_resources",
    "Secret": "taxiway.dsl.cluster_resources",
    "Toleration": "taxiway.dsl.cluster_resources",
    "Volume": "taxiway.dsl.cluster_resources",
    "image": "taxiway.dsl.definitions",
    "resources": "taxiway.dsl.cluster_resources",
}
_STAGES = {component_name(stage): stage for stage in stages.names()}

__all__ = sorted((*_FROM, *_STAGES))


def __getattr__(name: str) -> ContainerComponent:
    if name in _STAGES:
        from taxiway.dsl import definitions

        return definitions.component(_STAGES[name])
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)  # type: ignore[no-any-return]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
