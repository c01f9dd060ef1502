"""The meaning of a parameter's role: how its value is checked, what it adds to the cache key, which files it names.

In the compiled pipeline, a role is a prefix of the parameter's description, for components of any author;
`components.contract.artifacts.Role` lists them. A stage can declare its own roles in its signature, with their check.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.contract.errors import UserError
from components.contract.signature import ports
from components.execution import stages
from components.user_code import custom_ops, eval_configs, user_modules
from components.versioning import data_versions
from components.versioning.dvc_outputs import repository_root
from components.versioning.dvc_revisions import is_url
from components.versioning.working_tree import ALLOW_UNVERSIONED
from taxiway.checks.known_names import KnownNames
from taxiway.language import spec
from taxiway.language.components import Component
from taxiway.language.spec import Pipeline
from taxiway.language.tasks import Task
from taxiway.language.values import Json
from taxiway.storage.digest_store import DigestStore


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of a task that has a role.

    Attributes:
        name: Its name.
        role: Its role.
        detail: The text after the role.
        value: Its value; None if it is known only during the run.
        beside: The values of the component's other parameters by role; None if known only during the run.
        allow_unversioned: The option that allows data without a version.
    """

    name: str
    role: str
    detail: str
    value: Any
    beside: Mapping[str, Any]
    allow_unversioned: str = ALLOW_UNVERSIONED

    @property
    def place(self) -> Path | None:
        """The file or folder on this machine that it names."""
        return Path(self.value).absolute() if "://" not in self.value else None


def _nothing(parameter: Parameter, names: KnownNames) -> Iterator[str]:
    yield from ()


def _no_state(parameter: Parameter, digests: DigestStore) -> Any:
    return None


def _no_paths(parameter: Parameter) -> Iterator[Path]:
    yield from ()


def _own_path(parameter: Parameter) -> Iterator[Path]:
    if place := parameter.place:
        yield place


@dataclass(frozen=True)
class Meaning:
    """What a role means.

    Attributes:
        check: What is wrong with a value, given the names that are known in the pipeline; may raise UserError.
        state: What the outputs depend on besides the value itself; None if nothing else.
        paths: The files and folders on this machine that a value names.
        learn: Adds the names that a value makes known in the pipeline, such as columns.
        is_module: Whether a value is a Python module that the task imports.
    """

    check: Callable[[Parameter, KnownNames], Iterable[str]] = _nothing
    state: Callable[[Parameter, DigestStore], Any] = _no_state
    paths: Callable[[Parameter], Iterable[Path]] = _no_paths
    learn: Callable[[KnownNames, Parameter], None] | None = None
    is_module: bool = False


def of_task(pipeline: Pipeline, task: Task, component: Component, given: Mapping[str, Any]) -> list[Parameter]:
    """The parameters of a task that have a role."""
    marked = {name: each for name, each in component.inputs.parameters.items() if each.role}
    names = {each.role: name for name, each in marked.items()}
    beside = {role: given.get(name) for role, name in names.items()}
    allow = _allowing(pipeline, task, names.get("Unversioned", ""))
    return [
        Parameter(
            name=name,
            role=each.role,
            detail=each.detail,
            value=given.get(name),
            beside=beside,
            allow_unversioned=allow,
        )
        for name, each in marked.items()
    ]


def check(parameter: Parameter, names: KnownNames) -> Iterator[str]:
    """What is wrong with the value of a parameter, if it is known."""
    if parameter.value is None:
        return
    try:
        yield from _meaning(parameter.role).check(parameter, names)
    except UserError as error:
        yield str(error)


def learn(names: KnownNames, parameter: Parameter) -> None:
    """Adds the names that a parameter makes known in the pipeline."""
    learning = _meaning(parameter.role).learn
    if learning and parameter.value is None:
        names.add_unknown()
    elif learning and parameter.value:
        learning(names, parameter)


def states(parameters: Iterable[Parameter], digests: DigestStore) -> Json:
    """What the parameters refer to, by name: the state of the data, files and modules, and the destinations.

    Raises:
        UserError: Something that a parameter names is missing or cannot be read.
    """
    found = {each.name: _meaning(each.role).state(each, digests) for each in parameters if each.value}
    return {name: state for name, state in found.items() if state is not None}


def paths(parameters: Iterable[Parameter]) -> Iterator[Path]:
    """The files and folders on this machine that the parameters name."""
    for each in parameters:
        if each.value:
            yield from _meaning(each.role).paths(each)


def modules(parameters: Iterable[Parameter]) -> list[str]:
    """The user's modules that the parameters name."""
    return [each.value for each in parameters if each.value and _meaning(each.role).is_module]


def _allowing(pipeline: Pipeline, task: Task, name: str) -> str:
    """The option that allows data without a version: the pipeline's parameter, if the task's comes from one."""
    source = spec.source_parameter(pipeline, task, name)
    return f"--param {source}=true" if source else ALLOW_UNVERSIONED


def _meaning(role: str) -> Meaning:
    return _MEANINGS.get(role) or _declared().get(role, Meaning())


@functools.cache
def _declared() -> dict[str, Meaning]:
    """The roles that stages declare."""
    roles = (port.role for name in stages.names() for port in ports(stages.load(name).function))
    return {role.name: Meaning(_checked_by(role.check)) for role in roles if role and role.check}


def _checked_by(look: Callable[[Any], object]) -> Callable[[Parameter, KnownNames], Iterator[str]]:
    def checked(parameter: Parameter, names: KnownNames) -> Iterator[str]:
        look(parameter.value)
        yield from ()

    return checked


def _check_data(parameter: Parameter, names: KnownNames) -> Iterator[str]:
    if None not in (parameter.beside.get("Repository", ""), parameter.beside.get("Unversioned", False)):
        _data_version(parameter)
    yield from ()


def _data_version(parameter: Parameter, digests: DigestStore | None = None) -> Json:
    return data_versions.describe(
        parameter.value,
        repo=parameter.beside.get("Repository") or "",
        allow_unversioned=parameter.beside.get("Unversioned") or False,
        allow=parameter.allow_unversioned,
        **({"hash_file": digests.file} if digests else {}),
    )


def _data_state(parameter: Parameter, digests: DigestStore) -> Json:
    # The current commit describes the run; data that did not change with it is the same data.
    return {name: value for name, value in _data_version(parameter, digests).items() if name != "commit"}


def _data_paths(parameter: Parameter) -> Iterator[Path]:
    """The data, its Git repository, and the repository that the task names."""
    if not (place := parameter.place):
        return
    yield place
    if root := repository_root(place, ".git"):
        yield root
    repository = parameter.beside.get("Repository") or ""
    if repository and not is_url(repository):
        yield Path(repository).absolute()


def _learn_columns(names: KnownNames, parameter: Parameter) -> None:
    beside = parameter.beside
    names.add_data(parameter.value, beside.get("Repository") or "", beside.get("Delimiter") or ",")


def _check_file(parameter: Parameter, names: KnownNames) -> Iterator[str]:
    if parameter.value and not Path(parameter.value).is_file():
        yield f"{parameter.name} names {parameter.value}, which does not exist"


def _file_state(parameter: Parameter, digests: DigestStore) -> str:
    path = Path(parameter.value)
    if not path.exists():
        raise UserError(f"the parameter {parameter.name!r} names {path}, which does not exist")
    return digests.tree(path)


def _check_module(parameter: Parameter, names: KnownNames) -> Iterator[str]:
    if not parameter.value:
        return
    user_modules.files(parameter.value)
    defined = user_modules.functions(parameter.value)
    if parameter.detail not in defined:
        near = difflib.get_close_matches(parameter.detail, defined, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield f"{user_modules.source_file(parameter.value)} defines no {parameter.detail}{hint}"


def _check_operations(parameter: Parameter, names: KnownNames) -> Iterator[str]:
    for file in custom_ops.files(parameter.value):
        if not file.is_file():
            yield f"{parameter.name} names {file}, which does not exist"


def _operation_paths(parameter: Parameter) -> Iterator[Path]:
    yield from (file.absolute() for file in custom_ops.files(parameter.value))


def _check_eval_config(parameter: Parameter, names: KnownNames) -> Iterator[str]:
    settings = parameter.value
    faults = eval_configs.faults(settings) or (*eval_configs.metric_faults(settings), *names.unknown(settings))
    yield from map(str, faults)


def _place(parameter: Parameter, digests: DigestStore) -> str:
    # A relative path is another destination in another working folder.
    return str(parameter.place or parameter.value)


def _versions(parameter: Parameter, digests: DigestStore) -> Json:
    """The versions of a model's tables: more requests or labels are other data."""
    # By name: few tasks read tables, and their libraries take time.
    from components.monitoring.store import INFERENCE, LABELS, Store

    place = _place(parameter, digests).rstrip("/")
    store = Store(f"{place}/{parameter.beside.get('TablesModel') or ''}")
    return {"place": place, **{name: store.version(name) for name in (INFERENCE, LABELS)}}


_MEANINGS = {
    "Data": Meaning(_check_data, _data_state, _data_paths, learn=_learn_columns),
    "File": Meaning(_check_file, _file_state, _own_path),
    "Module": Meaning(
        _check_module,
        lambda parameter, digests: user_modules.describe(parameter.value, parameter.detail)["digest"],
        _own_path,
        learn=lambda names, parameter: names.add_module(parameter.value),
        is_module=True,
    ),
    "Operations": Meaning(
        _check_operations,
        lambda parameter, digests: custom_ops.digests(parameter.value, digests.tree),
        _operation_paths,
    ),
    "Destination": Meaning(state=_place, paths=_own_path),
    "Tables": Meaning(state=_versions, paths=_own_path),
    "EvalConfig": Meaning(_check_eval_config),
}
