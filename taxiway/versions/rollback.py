"""Back to an earlier version: by the label that clients ask for, or by taking the later ones back."""

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
    """What a rollback is going to do.

    Attributes:
        destination: Where the versions lie.
        origin: The version that answers now.
        target: The version that is going to answer.
        config: The models.config whose label moves; None where versions are retired.
        retire: The versions to take back, the earliest first.
    """

    destination: Destination
    origin: Version
    target: Version
    config: ModelLabels | None = None
    retire: list[Version] = field(default_factory=list)

    def __str__(self) -> str:
        if self.config:
            return f"{self.config.file}: {STABLE} moves from {self.origin.number} to {self.target.number}"
        steps = [f"{self.target.url} gets its name back"] * self.target.is_retired
        steps += [f"{version.url} gets a name that servers pass over" for version in self.retire]
        return "\n".join([*steps, f"{self.target.number} answers instead of {self.origin.number}"])


def _labelled(destination: Destination, config: Path | None) -> ModelLabels | None:
    """The model's labels where `stable` is one of them."""
    file = config or labels.find(destination)
    model = labels.load(file, destination) if file else None
    if model and STABLE in model.labels:
        return model
    if config:
        raise UserError(
            f"{config} has no label {STABLE!r} for the model at {destination.url}",
            fix=f"add version_labels {{ key: '{STABLE}' value: VERSION }} to that model, or leave out --config",
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
    raise UserError(f"there is no version {number} at {destination.url}", fix=f"there are {_numbers(versions)}")


def _last_blessed(versions: Sequence[Version], origin: Version) -> Version:
    earlier = [version for version in versions if version.number < origin.number and not version.is_retired]
    for version in earlier:
        if version.is_whole() and _is_blessed(version):
            return version
    raise UserError(
        f"no version before {origin.number} was blessed",
        fix=f"name one with --to; before it there are {_numbers(earlier)}",
    )


def _require_intact(version: Version) -> None:
    if not version.is_whole():
        raise DataError(f"{version.url} has no saved_model.pb", fix="name another version with --to")
    recorded = version.recorded_digest()
    if recorded and (found := version.content_digest()) != recorded:
        raise DataError(f"{version.url} holds {found}, but {recorded} was pushed", fix="name another version with --to")


def _require_loaded(model: ModelLabels, target: Version, versions: Sequence[Version]) -> None:
    """TF Serving refuses a whole configuration that has a label on a version which it does not load."""
    loaded = model.loaded([version.number for version in versions if not version.is_retired])
    if target.number not in loaded:
        raise UserError(
            f"{model.file} has servers load {', '.join(map(str, sorted(loaded))) or 'nothing'} of {model.name!r}, "
            f"not {target.number}: a label on it would be refused",
            fix="have model_version_policy name that version (specific, or latest with more num_versions) first",
        )


def plan(url: str, to: int | None = None, config: Path | None = None) -> Plan:
    """What a rollback would do; nothing is changed.

    Args:
        url: The destination, a folder or an fsspec URL.
        to: The version to go to, an earlier or a later one; by default the last blessed one before the one that
            answers now.
        config: The models.config whose label `stable` moves; by default the one in the destination or above it, and
            without such a label the later versions are retired.

    Raises:
        UserError: There is no such version, it answers already, no earlier one was blessed, or the models.config has
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
        raise UserError(f"{origin.number} is the version that answers already", fix="name another with --to")
    _require_intact(target)
    if model:
        _require_loaded(model, target, versions)
        return Plan(destination, origin, target, model)
    later = [v for v in reversed(versions) if v.number > target.number and not v.is_retired]
    return Plan(destination, origin, target, retire=later)


def _carry_out(planned: Plan) -> None:
    """Every step leaves a version that can be served: the target is there before, the latest goes last."""
    if planned.config:
        labels.write(planned.config.file, planned.config.moved(STABLE, planned.target.number))
        return
    if planned.target.is_retired:
        retirement.restore(planned.target)
    for version in planned.retire:
        retirement.retire(version)


def roll_back(planned: Plan, reason: str, store: LineageStore) -> None:
    """Does what was planned, and records it.

    Raises:
        UserError: The destination or the models.config has changed since.
        ServiceError: A file could not be moved; running it again goes on.
    """
    config = planned.config.file if planned.config else None
    with retirement.alone(planned.destination):
        if plan(planned.destination.url, planned.target.number, config) != planned:
            raise UserError(
                f"{planned.destination.url} has changed since this was planned", fix="look at it, and run again"
            )
        digests = {str(version.number): version.recorded_digest() for version in (planned.origin, planned.target)}
        label = STABLE if planned.config else ""
        with rollbacks.recorded(store, planned.origin, planned.target, label=label, reason=reason, digests=digests):
            _carry_out(planned)
