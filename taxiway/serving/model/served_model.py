"""A model and its versions: which should be served, which are, and the transition between them.

New versions are loaded before old ones are unloaded, so that the model is always available (TF Serving's
availability-preserving policy). A failed load is retried when the version's files change.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from taxiway.serving.errors import ServingError
from taxiway.serving.metrics import Metrics
from taxiway.serving.model import loading
from taxiway.serving.model.loading import Loading
from taxiway.serving.model.model_config import ModelSettings
from taxiway.serving.model.model_version import Lease, Loaded, ModelVersion, State
from taxiway.serving.request_log import RequestLog

_CODE = grpc.StatusCode
_LIVE = (State.START, State.LOADING, State.AVAILABLE, State.UNLOADING)
_MOST_ENDED = 100

_log = logging.getLogger(__name__)


class ServedModel:
    """A configured model.

    Attributes:
        settings: The current settings.
        versions: All versions since the start, by number; only the latest of the unloaded ones are kept.
        labels: The version of each label; a label moves only to an available version.
    """

    def __init__(self, settings: ModelSettings, how: Loading, loader: ThreadPoolExecutor) -> None:
        self.settings = settings
        self.versions: dict[int, ModelVersion] = {}
        self.labels: dict[str, int] = {}
        self.problem = ""
        self._held = set[int]()  # loaded for settings that are not in effect yet
        self._how, self._loader = how, loader
        self._failed: dict[int, Any] = {}
        self._letting_go: set[asyncio.Task[None]] = set()
        self._log: RequestLog | None = None

    @property
    def available(self) -> dict[int, ModelVersion]:
        """The available versions."""
        return {number: each for number, each in self.versions.items() if each.state == State.AVAILABLE}

    def version(self, spec: model_pb2.ModelSpec) -> ModelVersion:
        """The version that a request names by number or label, or the latest.

        Raises:
            ServingError: With TF Serving's message. INVALID_ARGUMENT: no such label; NOT_FOUND: no such version.
        """
        number = None
        if spec.version_label:
            if spec.version_label not in self.labels:
                raise ServingError(_CODE.INVALID_ARGUMENT, f"Unrecognized servable version label: {spec.version_label}")
            number = self.labels[spec.version_label]
        elif spec.HasField("version"):
            number = spec.version.value
        available = self.available
        found = available.get(max(available.keys() - self._held, default=0) if number is None else number)
        if found is None:
            raise _not_found(spec.name, number)
        return found

    async def follow(self) -> None:
        """Checks the base path once, then loads and unloads versions."""
        there = await self._there()
        wanted = self.settings.policy.chosen(there)
        await self._load_all(wanted, there)
        self._held = set()
        self._let_others_go(wanted)
        for number in self._failed.keys() - there.keys():
            del self._failed[number]
        self._move_labels()

    async def prepare(self, settings: ModelSettings) -> None:
        """Loads the versions for new settings with the same base path; not visible to requests until `configure`.

        Raises:
            ServingError: Something is not available. NOT_FOUND: no such base path or version; FAILED_PRECONDITION: a
                label's version is not available; a version's own error if it fails to load.
        """
        is_asked = settings.policy != self.settings.policy or not self.available
        there = await (self._there_now(settings) if is_asked else self._there())
        wanted = settings.policy.chosen(there)
        if is_asked:
            _require_there(settings, there)
        if any(self.versions[number].state == State.UNLOADING for number in wanted & self.versions.keys()):
            await asyncio.gather(*self._letting_go)  # versions that are being unloaded are loaded again afterwards
        self._held = wanted - self.available.keys()
        await self._load_all(wanted, there)
        for number in sorted(wanted):
            if is_asked and (error := self.versions[number].error):
                raise ServingError(error.code, f"Version {number} of {settings.name} failed to load: {error.message}")
        self._require_available(settings)

    def require_labels(self) -> None:
        """Refuses a configuration with a label that could not be moved.

        Raises:
            ServingError: FAILED_PRECONDITION, with TF Serving's message.
        """
        self._require_available(self.settings)

    def _require_available(self, settings: ModelSettings) -> None:
        for label, number in settings.labels.items():
            is_early = self._how.early_labels and self.labels.get(label, number) == number
            if number not in self.available and not is_early:
                raise ServingError(
                    _CODE.FAILED_PRECONDITION,
                    f"Request to assign label {label} to version {number} of model {settings.name}, "
                    "which is not currently available for inference",
                )

    def configure(self, settings: ModelSettings) -> None:
        """Replaces the settings; `follow` applies them."""
        if self._log and settings.logging != self.settings.logging:
            self._log.close()
            self._log = None
        self.settings = settings
        for version in self.versions.values():
            version.log = self._opened_log()

    def tell_states(self) -> None:
        """Sets the states in the metrics again, after another model of the same name has set its own."""
        for version in self.versions.values():
            version.enter(version.state)

    async def stop(self) -> None:
        """Unloads all versions after their last requests."""
        for version in self.available.values():
            self._let_go(version)
        await asyncio.gather(*self._letting_go)
        if self._log:
            await asyncio.to_thread(self._log.close)
            self._log = None

    def _opened_log(self) -> RequestLog | None:
        """The request log; None if requests are not logged."""
        if self._log is None and self.settings.logging:
            self._log = RequestLog(self.settings.name, self.settings.logging, self._how.metrics)
        return self._log

    async def _there(self) -> Mapping[int, Path]:
        try:
            there = await asyncio.to_thread(loading.versions_in, self.settings.base_path)
        except OSError as error:
            # A temporary failure of the disk unloads nothing.
            self._say(f"{self.settings.base_path} cannot be read: {error.strerror}")
            return {number: version.folder for number, version in self.available.items()}
        self._say("" if there else f"there are no versions in {self.settings.base_path}")
        return there

    async def _there_now(self, settings: ModelSettings) -> Mapping[int, Path]:
        try:
            return await asyncio.to_thread(loading.versions_in, settings.base_path)
        except OSError as error:
            raise ServingError(
                _CODE.NOT_FOUND,
                f"Could not find base path {settings.base_path} for servable {settings.name}: {error.strerror}",
            ) from error

    async def _load_all(self, wanted: Collection[int], there: Mapping[int, Path]) -> None:
        for number in sorted(wanted):
            if self._is_to_load(number, there[number]):
                await self._load(number, there[number])

    def _let_others_go(self, wanted: Collection[int]) -> None:
        """Unloads versions that are not wanted, if a wanted one is available or none is wanted."""
        available = self.available
        others = available.keys() - wanted
        if not wanted:
            # If the named versions do not exist yet, the current ones are kept.
            others &= self.settings.policy.numbers or others
        if not wanted or available.keys() & wanted:
            for number in others:
                self._let_go(available[number])

    def _say(self, problem: str) -> None:
        if problem and problem != self.problem:
            _log.warning("%s: %s", self.settings.name, problem)
        self.problem = problem

    def _is_to_load(self, number: int, folder: Path) -> bool:
        version = self.versions.get(number)
        if version and version.state in _LIVE:
            return False
        return number not in self._failed or self._failed[number] != loading.fingerprint(folder)

    async def _load(self, number: int, folder: Path) -> None:
        self.versions.pop(number, None)
        version = self.versions[number] = ModelVersion(self.settings.name, number, folder, self._how.metrics)
        version.enter(State.LOADING)
        before = await asyncio.to_thread(loading.fingerprint, folder)
        try:
            model, batching = await asyncio.get_running_loop().run_in_executor(
                self._loader, self._how.load, self.settings.name, folder
            )
        except ServingError as error:
            # A new error: the traceback of the one that was raised keeps the graph in memory.
            version.error = ServingError(error.code, error.message)
            version.enter(State.END)
            self._failed[number] = before
            _log.error("%s: version %d failed to load: %s", self.settings.name, number, error.message)
            return
        self._failed.pop(number, None)
        version.loaded = Loaded(model, self._how.runner(model, batching))
        version.log = self._opened_log()
        version.enter(State.AVAILABLE)

    def _let_go(self, version: ModelVersion) -> None:
        version.enter(State.UNLOADING)
        task = asyncio.create_task(self._unloaded(version))
        self._letting_go.add(task)
        task.add_done_callback(self._letting_go.discard)

    async def _unloaded(self, version: ModelVersion) -> None:
        while version.leases:
            version.unused.clear()
            await version.unused.wait()
        loaded, version.loaded = version.loaded, None
        if loaded:
            await asyncio.get_running_loop().run_in_executor(self._loader, loaded.model.close)
        version.enter(State.END)
        _log.info("%s: unloaded version %d", self.settings.name, version.version)
        ended = [number for number, each in self.versions.items() if each.state == State.END]
        for number in ended[:-_MOST_ENDED]:
            del self.versions[number]

    def _move_labels(self) -> None:
        """Moves each label to the version in the settings, if that is available; otherwise the label stays.

        With `early_labels`, a new label is set at once.
        """
        available, early = self.available, self._how.early_labels
        self.labels = {
            label: number if number in available else self.labels.get(label, number)
            for label, number in self.settings.labels.items()
            if number in available or label in self.labels or early
        }


def _require_there(settings: ModelSettings, there: Collection[int]) -> None:
    """Refuses settings that name a missing version, or a base path without versions, with TF Serving's message."""
    missing = sorted(settings.policy.numbers - set(there))
    if missing or not there:
        what = f"version {', '.join(map(str, missing))}" if missing else "a numerical version path"
        raise ServingError(
            _CODE.NOT_FOUND, f"Unable to find {what} for servable {settings.name} at: {settings.base_path}"
        )


class Models:
    """The models of a server, as requests see them.

    Attributes:
        by_name: The configured models.
        metrics: The server's metrics.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.by_name: dict[str, ServedModel] = {}
        self.metrics = metrics

    def lease(self, spec: model_pb2.ModelSpec) -> Lease:
        """The version that a request names, or the latest, to be used in an `async with` block, which keeps it loaded.

        Raises:
            ServingError: There is no such model, version or label.
        """
        return Lease(self._named(spec).version(spec))

    def status(self, spec: model_pb2.ModelSpec) -> get_model_status_pb2.GetModelStatusResponse:
        """The states of all versions of a model, latest first, or of the one that is named.

        Raises:
            ServingError: With TF Serving's message. NOT_FOUND: no such model or version.
        """
        found = self.by_name.get(spec.name)
        versions = dict(found.versions) if found else {}
        if not versions:
            raise ServingError(_CODE.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        if found and (spec.version_label or spec.HasField("version")):
            number = found.version(spec).version if spec.version_label else spec.version.value
            if number not in versions:
                raise ServingError(_CODE.NOT_FOUND, f"Could not find version {number} of model {spec.name}")
            versions = {number: versions[number]}
        answer = get_model_status_pb2.GetModelStatusResponse()
        for number in sorted(versions, reverse=True):
            added = answer.model_version_status.add(version=number, state=versions[number].state)
            if error := versions[number].error:
                added.status.error_code, added.status.error_message = error.code.value[0], error.message
            else:
                added.status.SetInParent()
        return answer

    def metadata(self, spec: model_pb2.ModelSpec) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """A version's signatures; raises as `lease`."""
        version = self._named(spec).version(spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        assert version.loaded is not None
        for name, signature in version.loaded.model.signature_def.items():
            signatures.signature_def[name].CopyFrom(signature)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name = version.name
        answer.model_spec.version.value = version.version
        answer.metadata["signature_def"].Pack(signatures)
        return answer

    def ready(self) -> bool:
        """Whether every model has an available version."""
        return all(model.available for model in self.by_name.values())

    def _named(self, spec: model_pb2.ModelSpec) -> ServedModel:
        if not spec.name:
            raise ServingError(_CODE.INVALID_ARGUMENT, "Missing ModelSpec")
        if spec.name not in self.by_name:
            raise _not_found(spec.name, spec.version.value if spec.HasField("version") else None)
        return self.by_name[spec.name]


def _not_found(name: str, number: int | None) -> ServingError:
    """TF Serving's error for a model or version that is not served; None means the latest version."""
    wanted = f"Latest({name})" if number is None else f"Specific({name}, {number})"
    return ServingError(_CODE.NOT_FOUND, f"Servable not found for request: {wanted}")
