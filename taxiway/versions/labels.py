"""TF Serving's models.config: which versions of a model it loads, and which version a label points to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.contract import files
from components.contract.errors import UserError
from components.execution.pushed_models import Destination
from taxiway.lineage.lookup import place_of

CONFIG_NAME = "models.config"
STABLE = "stable"


@dataclass(frozen=True)
class ModelLabels:
    """A model in a models.config.

    Attributes:
        file: The models.config.
        text: Its content.
        name: The model's name.
    """

    file: Path
    text: str
    name: str

    @property
    def labels(self) -> dict[str, int]:
        """The version of each label."""
        return dict(self._model(_parsed(self.text)).version_labels)

    def loaded(self, there: Collection[int]) -> set[int]:
        """Those of the existing versions that a server loads."""
        policy = self._model(_parsed(self.text)).model_version_policy
        kind = policy.WhichOneof("policy_choice")
        if kind == "all":
            return set(there)
        if kind == "specific":
            return set(policy.specific.versions) & set(there)
        return set(sorted(there)[-(policy.latest.num_versions or 1) :])

    def moved(self, label: str, version: int) -> str:
        """The file's text with a label moved to another version; everything else, including comments, is unchanged."""
        wanted = _parsed(self.text)
        self._model(wanted).version_labels[label] = version
        found = self._candidates(label, version) if label in self.labels else self._additions(label, version)
        return next((text for text in found if _is(text, wanted)), _written(wanted))

    def without(self, label: str) -> str:
        """The file's text without a label; everything else is unchanged."""
        wanted = _parsed(self.text)
        self._model(wanted).version_labels.pop(label, None)
        return next((text for text in self._removals() if _is(text, wanted)), _written(wanted))

    def _additions(self, label: str, version: int) -> Iterator[str]:
        """The text with another label, in each place after a `{`."""
        added = f' version_labels {{ key: "{label}" value: {version} }}'
        for found in re.finditer(r"\{", self.text):
            yield f"{self.text[: found.end()]}{added}{self.text[found.end() :]}"

    def _removals(self) -> Iterator[str]:
        """The text without one of its labels, for each of them, and unchanged."""
        for found in re.finditer(r"[ \t]*version_labels\s*:?\s*\{[^{}]*\}[ \t,;]*\n?", self.text):
            newline = "\n" if found[0].endswith("\n") and not self.text[: found.start()].endswith("\n") else ""
            yield f"{self.text[: found.start()]}{newline}{self.text[found.end() :]}"
        yield self.text

    def _candidates(self, label: str, version: int) -> Iterator[str]:
        """The text with one occurrence of the label's version replaced, for each occurrence."""
        for found in re.finditer(rf"\b{self.labels[label]}\b", self.text):
            yield f"{self.text[: found.start()]}{version}{self.text[found.end() :]}"

    def _model(self, config: Any) -> Any:
        return next(each for each in config.model_config_list.config if each.name == self.name)


def _parsed(text: str) -> Any:
    from google.protobuf import text_format

    from components.data.serving_stubs import model_server_config_pb2

    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


def _is(text: str, wanted: Any) -> bool:
    from google.protobuf import text_format

    try:
        return bool(_parsed(text) == wanted)
    except text_format.ParseError:
        return False


def _written(config: Any) -> str:
    from google.protobuf import text_format

    return str(text_format.MessageToString(config))


def find(destination: Destination) -> Path | None:
    """The models.config in a destination's folder or its parent; None if there is none."""
    if not destination.is_local:
        return None
    folder = Path(destination.path)
    return next((file for at in (folder, folder.parent) if (file := at / CONFIG_NAME).is_file()), None)


def load(file: Path, destination: Destination) -> ModelLabels | None:
    """The model at a destination in a models.config; None if it is not listed.

    The model is found by its base path, else by name, which must be that of the destination's folder: inside a
    container, the base path differs.

    Raises:
        UserError: The file cannot be read, or is not a ModelServerConfig.
    """
    from google.protobuf import text_format

    try:
        text = file.read_text()
        models = _parsed(text).model_config_list.config
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read: {error}", fix="give TF Serving's model config file") from error
    except text_format.ParseError as error:
        raise UserError(f"{file}: {error}", fix="write it as TF Serving's ModelServerConfig in text format") from error
    place, name = place_of(destination.url), destination.path.rstrip("/").rpartition("/")[2]
    by_path = [model.name for model in models if model.base_path and place_of(model.base_path) == place]
    by_name = [model.name for model in models if model.name == name]
    return next((ModelLabels(file, text, found) for found in (*by_path, *by_name)), None)


def write(file: Path, text: str) -> None:
    """Replaces a file's content atomically."""
    files.write(file.resolve(), text, synced=True)
