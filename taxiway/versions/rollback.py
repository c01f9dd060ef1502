"""Rolls back to another version: by moving the label that clients request, or by retiring the later versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from components.contract.errors import DataError, UserError
from components.execution.pushed_models import Destination, Version, open_destination
from taxiway.lineage import rollbacks
from taxiway.lineage.store import LineageStore
from taxiway.versions import labels, listing, retirement
from taxiway.versions.labels import STABLE, ModelLabels


@dataclass(frozen=True)
class Plan:
    """What a rollback will do.

    Attributes:
        destination: Where the versions are.
        origin: The version that is served now.
        target: The version to serve.
        config: The models.config whose label is moved; None if versions are retired.
        retire: The versions to retire, earliest first.
    """

    destination: Destination
    origin: Version
    target: Version
    config: ModelLabels | None = None
    retire: list[Version] = field(default_factory=list)

    def __str__(self) -> str:
        if self.config:
            return f"{self.config.file}: move {STABLE} from {self.origin.number} to {self.target.number}"
        steps = [f"restore {self.target.url}"] * self.target.is_retired
        steps += [f"retire {version.url}, so that servers ignore it" for version in self.retire]
        return "\n".join([*steps, f"serve {self.target.number} instead of {self.origin.number}"])


def _labelled(destination: Destination, config: Path | None) -> ModelLabels | None:
    """The model's labels if they include `stable`."""
    file = config or labels.find(destination)
    model = labels.load(file, destination) if file else None
    if model and STABLE in model.labels:
        return model
    if config:
        raise UserError(
            f"{config} has no label {STABLE!r} for the model at {destination.url}",
            fix=f"add version_labels {{ key: '{STABLE}' value: VERSION }} to that model, or omit --config",
        )
    return None


def _is_blessed(version: Version) -> bool:
    return any(record.get("judged") for record in version.records()[:1])


def _numbers(versions: Sequence[Version]) -> str:
    return ", ".join(str(version.number) for version in versions) or "none"


def _one(versions: Sequence[Version], number: int, destination: Destination) -> Version:
    for version in versions:
        if version.number == number:
            return version
    raise UserError(
        f"there is no version {number} at {destination.url}", fix=f"existing versions: {_numbers(versions)}"
    )


def _last_blessed(versions: Sequence[Version], origin: Version) -> Version:
    earlier = [version for version in versions if version.number < origin.number and not version.is_retired]
    for version in earlier:
        if version.is_whole() and _is_blessed(version):
            return version
    raise UserError(
        f"no version before {origin.number} was blessed",
        fix=f"choose a version with --to; earlier versions: {_numbers(earlier)}",
    )


def _require_intact(version: Version) -> None:
    if not version.is_whole():
        raise DataError(f"{version.url} has no saved_model.pb", fix="choose another version with --to")
    recorded = version.recorded_digest()
    if recorded and (found := version.content_digest()) != recorded:
        what = f"{version.url} was changed: its digest is {found}, but {recorded} was pushed"
        raise DataError(what, fix="choose another version with --to")


def _require_loaded(model: ModelLabels, target: Version, versions: Sequence[Version]) -> None:
    """TF Serving rejects the whole configuration if a label points to a version that it does not load."""
    loaded = model.loaded([version.number for version in versions if not version.is_retired])
    if target.number not in loaded:
        raise UserError(
            f"{model.file} loads {', '.join(map(str, sorted(loaded))) or 'nothing'} of {model.name!r}, "
            f"not {target.number}: servers would reject a label on it",
            fix="first include that version in model_version_policy (specific, or latest with a larger num_versions)",
        )


def plan(url: str, to: int | None = None, config: Path | None = None) -> Plan:
    """Plans a rollback without changing anything.

    Args:
        url: The destination, a folder or an fsspec URL.
        to: The version to serve, earlier or later; default: the last blessed version before the one served now.
        config: The models.config whose label `stable` is moved; default: the one in the destination or its parent
            folder. Without such a label, the later versions are retired.

    Raises:
        UserError: There is no such version, it is already served, no earlier one was blessed, or the models.config has
            no such label or does not load the version.
        DataError: The version's content is not what was pushed.
        ServiceError: The destination cannot be read.
    """
    destination = open_destination(url)
    versions = listing.at(destination)
    served = [version for version in versions if not version.is_retired and version.is_whole()]
    model = _labelled(destination, config)
    origin = _one(versions, model.labels[STABLE], destination) if model else (served or versions)[0]
    target = _last_blessed(versions, origin) if to is None else _one(versions, to, destination)
    if target == origin and not target.is_retired:
        raise UserError(f"{origin.number} is already served", fix="choose another version with --to")
    _require_intact(target)
    if model:
        _require_loaded(model, target, versions)
        return Plan(destination, origin, target, model)
    later = [v for v in reversed(versions) if v.number > target.number and not v.is_retired]
    return Plan(destination, origin, target, retire=later)


def _carry_out(planned: Plan) -> None:
    """After each step, some version can be served: the target is restored first, the latest version is retired last."""
    if planned.config:
        labels.write(planned.config.file, planned.config.moved(STABLE, planned.target.number))
        return
    if planned.target.is_retired:
        retirement.restore(planned.target)
    for version in planned.retire:
        retirement.retire(version)


def roll_back(planned: Plan, reason: str, store: LineageStore) -> None:
    """Executes a plan, and records it in the lineage.

    Raises:
        UserError: The destination or the models.config has changed in the meantime.
        ServiceError: A file could not be moved; running it again continues.
    """
    config = planned.config.file if planned.config else None
    with retirement.alone(planned.destination):
        if plan(planned.destination.url, planned.target.number, config) != planned:
            raise UserError(
                f"{planned.destination.url} has changed since the rollback was planned", fix="check it, and run again"
            )
        digests = {str(version.number): version.recorded_digest() for version in (planned.origin, planned.target)}
        label = STABLE if planned.config else ""
        with rollbacks.recorded(store, planned.origin, planned.target, label=label, reason=reason, digests=digests):
            _carry_out(planned)
