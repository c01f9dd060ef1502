"""The labels of a rollout in the server's models.config: `canary` while it runs, `stable` when it is promoted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.contract.errors import UserError
from components.execution.pushed_models import Destination, open_destination
from taxiway.delivery.rollout import Rollout
from taxiway.versions import labels, listing, retirement
from taxiway.versions.labels import STABLE, ModelLabels

CANARY = "canary"


@dataclass(frozen=True)
class FileLabels:
    """Labels in a models.config.

    Attributes:
        destination: Where the versions are.
        config: The models.config; None for the one in the destination or its parent folder.
    """

    destination: str
    config: Path | None = None

    def begin(self, rollout: Rollout) -> None:
        """Labels the challenger `canary`.

        Raises:
            UserError: There is no models.config, the champion is not what it labels `stable`, or the challenger is
                missing or not loaded.
        """
        destination = open_destination(self.destination)
        with retirement.alone(destination):
            model = self._model(destination)
            stable = model.labels.get(STABLE)
            if stable != rollout.champion:
                raise UserError(
                    f"{model.file} labels {stable or 'no version'} {STABLE}, not the champion {rollout.champion}",
                    fix=f"give the version that serves as the champion, or label it {STABLE!r}",
                )
            _require_loaded(model, destination, rollout.challenger)
            _move(model, CANARY, rollout.challenger)

    def promote(self, rollout: Rollout) -> None:
        """Moves `stable` to the challenger."""
        destination = open_destination(self.destination)
        with retirement.alone(destination):
            _move(self._model(destination), STABLE, rollout.challenger)

    def clear(self, rollout: Rollout) -> None:
        """Removes `canary`, unless another rollout has it by now."""
        destination = open_destination(self.destination)
        with retirement.alone(destination):
            model = self._model(destination)
            if model.labels.get(CANARY) == rollout.challenger:
                labels.write(model.file, model.without(CANARY))

    def _model(self, destination: Destination) -> ModelLabels:
        file = self.config or labels.find(destination)
        model = labels.load(file, destination) if file else None
        if model is None:
            raise UserError(
                f"no {labels.CONFIG_NAME} lists the model at {self.destination}",
                fix="name it in delivery.config, or leave out delivery.destination, and move labels yourself",
            )
        return model


def _move(model: ModelLabels, label: str, version: int) -> None:
    if model.labels.get(label) != version:
        labels.write(model.file, model.moved(label, version))


def _require_loaded(model: ModelLabels, destination: Destination, version: int) -> None:
    there = [each.number for each in listing.at(destination) if not each.is_retired and each.is_whole()]
    if version not in model.loaded(there):
        raise UserError(
            f"{model.file} does not load version {version} of {model.name!r}",
            fix="push it, and let model_version_policy include it and the champion, such as latest { num_versions: 2 }",
        )


def versions_at(destination: str, config: str = "") -> tuple[int, int]:
    """The version that is labelled stable, and the latest one.

    Raises:
        UserError: There is no such label, or no version.
    """
    found = listing.versions_at(destination, Path(config) if config else None).versions
    stable = [each.version for each in found if STABLE in each.labels]
    served = [each.version for each in found if each.state == listing.SERVED]
    if not (stable and served):
        raise UserError(
            f"no version at {destination} is labelled {STABLE}",
            fix="add version_labels to the models.config, or give --champion and --challenger",
        )
    return stable[0], served[0]
