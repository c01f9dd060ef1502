"""Launches a task's container in a staging folder, which is removed when its outputs have been kept."""

from __future__ import annotations

import functools
import itertools
import json
import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.contract.artifacts import Role
from components.execution import provenance, stages
from components.fused import stage_cache
from components.user_code import user_modules
from taxiway.checks import roles
from taxiway.fusion import members
from taxiway.language import arguments
from taxiway.language.components import ArtifactSpec, ExecutorComponent
from taxiway.language.placeholders import fill_command
from taxiway.language.spec import Leaf
from taxiway.language.values import Json
from taxiway.runner.call import USER_ERROR, Call, Context, Result, State
from taxiway.runner.launcher import Ended, Job
from taxiway.runner.outputs import Seen
from taxiway.runner.plan import Planned, variables

_LAST_LINES = 20
_COMMAND = ["python", "-m", "components"]


@dataclass(frozen=True)
class Attempt:
    """A container that has ended.

    Attributes:
        staged: The staging folder that it wrote to.
        executor_input: Its ExecutorInput.
        ended: How it ended.
        seen: Finds files on this machine that it wrote elsewhere.
    """

    staged: Path
    executor_input: Json
    ended: Ended
    seen: Seen

    @property
    def is_last(self) -> bool:
        """Whether a retry makes no sense: the user has to change something, or a signal ended it."""
        return self.ended.status == USER_ERROR or self.ended.status < 0


@contextmanager
def attempted(context: Context, planned: Planned) -> Iterator[Attempt]:
    """Runs a task's container until it exits; the staging folder with its outputs exists during the block."""
    staged = context.home.work / context.run_id / uuid.uuid4().hex
    try:
        for name in ("outputs", "parameters", "tmp"):
            (staged / name).mkdir(parents=True)
        executor_input = _executor_input(planned.call, staged)
        job = _job(context, planned, executor_input, staged)
        arguments.require_short(job.words, planned.call.inputs.parameters)
        ended = context.launcher.launch(job)
        yield Attempt(staged, executor_input, ended, functools.partial(context.launcher.seen, job))
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def draft(context: Context, leaf: Leaf) -> Job | None:
    """A container that loads what a task needs, and waits for its job; None where too little is known yet."""
    executor = context.pipeline.executor(leaf.component)
    container, names = executor.container, members.stages(executor)
    if not names or set(names) - {*stages.names()} or "{{$" in json.dumps(container.settings):
        return None
    scratch = context.home.work / context.run_id / f"ahead-{uuid.uuid4().hex}"
    loads = [libraries for name in names for libraries in stages.load(name).loads]
    modules = dict.fromkeys(module for libraries in loads for module in libraries.modules)
    return Job(
        name=leaf.name,
        stage=names[0],
        image=container.image,
        command=[*_COMMAND[:-1], "components.ahead"],
        arguments=[str(scratch / "job.json"), *modules],
        log=context.log(leaf.name),
        environment={**container.env, "TMPDIR": str(scratch / "tmp")},
        paths=(context.home.root,),
        scratch=scratch,
    )


def failed(context: Context, call: Call, status: int) -> Result:
    """The result of a container that ended with a status other than 0."""
    # `stop` sends SIGTERM; in any other case the task itself failed.
    state = State.CANCELED if status == -signal.SIGTERM else State.FAILED
    exit_status = USER_ERROR if status == USER_ERROR else 1
    return Result(state, error=_error(context, call, status), exit_status=exit_status)


def commit(context: Context, call: Call) -> provenance.Commit:
    """The commit of the code that a call runs."""
    if members.is_fused(call.executor):
        found = members.members(call.task, call.component, call.executor)
        covered = [_covered(one.member.stage, one.component, one.member.own(call.inputs.parameters)) for one in found]
    else:
        covered = [_covered(call.executor.stage, call.component, call.inputs.parameters)]
    return provenance.commit_with(itertools.chain(context.pipeline.sources, *covered), context.commit)


def _covered(stage: str, component: ExecutorComponent, parameters: Json) -> Iterator[Path]:
    """The files that the digests in a stage's record cover; none for other containers."""
    declared = {name: Role(each.role, each.detail) for name, each in component.inputs.parameters.items()}
    return provenance.covered(stage, parameters, declared) if stage else iter(())


def _forked_for(names: list[str], has_changed: bool) -> str:
    """The stage whose libraries a container has from the start; empty where it runs no stage.

    Of several stages it is the one that loads most. Where nothing has changed so far, all of them may be cached, and
    the container does not wait for libraries.
    """
    known = [name for name in names if name in stages.names()]
    if len(known) > 1:
        return (max if has_changed else min)(known, key=lambda name: len(stages.load(name).loads))
    return next(iter(known or names), "")


def image(context: Context, call: Call) -> str:
    """The image that a call runs in, with its digest; empty if it runs as a process."""
    name = call.executor.container.image
    digest = context.launcher.digest(name)
    return f"{name}@{digest}" if digest else ""


def _job(context: Context, planned: Planned, executor_input: Json, staged: Path) -> Job:
    call, container = planned.call, planned.call.executor.container
    words = fill_command(container.args, executor_input, call.facts)
    log = context.log(call.name)
    log.parent.mkdir(parents=True, exist_ok=True)
    return Job(
        name=call.name,
        stage=_forked_for(members.stages(call.executor), context.changed.is_set()),
        image=container.image,
        command=fill_command(container.command, executor_input, call.facts),
        arguments=arguments.in_files(words, staged) if container.stage else words,
        log=log,
        environment=_environment(context, call, staged),
        paths=(context.home.root, *roles.paths(planned.named), *_input_paths(call)),
        imports=frozenset().union(*map(user_modules.imports, roles.modules(planned.named))),
        scratch=staged,
        environments=context.home.environments,
    )


def _environment(context: Context, call: Call, staged: Path) -> dict[str, str]:
    found = {name: os.environ[name] for name in variables(call) if name in os.environ}
    found |= call.executor.container.env
    # A pipeline with inlined modules sets their commit itself.
    found.setdefault(provenance.COMMIT_VARIABLE, provenance.commit_text(commit(context, call)))
    if named := image(context, call):
        found[provenance.IMAGE_VARIABLE] = named
    if members.is_fused(call.executor):
        place = context.home.stages / context.pipeline.name
        found[stage_cache.VARIABLE] = str(place) if context.use_cache else ""
        if days := os.environ.get(stage_cache.DAYS_VARIABLE):
            found.setdefault(stage_cache.DAYS_VARIABLE, days)
    # Temporary files of a killed stage are removed with the staging folder.
    return {**found, "TMPDIR": str(staged / "tmp")}


def _error(context: Context, call: Call, status: int) -> str:
    """Why a container failed: the stage's error message, or the last lines of its log."""
    log = context.log(call.name)
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    errors = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    if errors:
        return "\n".join(lines[errors[-1] :]).removeprefix("error: ")
    how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
    # A container engine only reports that the container exceeded its own memory limit.
    how += ", as the kernel does when memory runs out" if status == -signal.SIGKILL else ""
    return "\n".join([f"{call.name} {how}; its log ends:", *(f"  {line}" for line in lines[-_LAST_LINES:])])


def _executor_input(call: Call, staged: Path) -> Json:
    """The ExecutorInput as Kubeflow's launcher writes it, with outputs in the staging folder."""
    specs = call.component.outputs
    return {
        "inputs": {
            "parameterValues": call.inputs.parameters,
            "artifacts": {name: {"artifacts": found} for name, found in call.inputs.artifacts.items()},
        },
        "outputs": {
            "parameters": {name: {"outputFile": str(staged / "parameters" / name)} for name in specs.parameters},
            "artifacts": {
                name: {"artifacts": [_declared(name, each, staged)]} for name, each in specs.artifacts.items()
            },
            # kfp's `get_uri` returns a place in the same folder, so it has to be one that is kept.
            "outputFile": str(staged / "outputs" / "executor_output.json"),
        },
    }


def _declared(name: str, artifact: ArtifactSpec, staged: Path) -> Json:
    return {"name": name, "uri": str(staged / "outputs" / name), "type": artifact.schema, "metadata": {}}


def _input_paths(call: Call) -> Iterator[Path]:
    """The paths of a call's input artifacts that are on this machine."""
    uris = [artifact["uri"] for found in call.inputs.artifacts.values() for artifact in found]
    yield from (Path(uri).absolute() for uri in uris if "://" not in uri)
