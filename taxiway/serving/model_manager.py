"""Which models a server has, from base paths, the config file and the clients' reload requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

from components.contract import files
from components.contract.errors import TaxiwayError
from taxiway.serving.errors import ServingError
from taxiway.serving.model import model_config
from taxiway.serving.model.loading import Loading
from taxiway.serving.model.model_config import ModelSettings
from taxiway.serving.model.served_model import Models, ServedModel

_CODE = grpc.StatusCode

_log = logging.getLogger(__name__)


class ModelManager:
    """Changes the models of a server.

    Attributes:
        models: The models, as requests see them.
    """

    def __init__(
        self, settings: Sequence[ModelSettings], how: Loading, poll_seconds: float, reload_roots: Sequence[Path] = ()
    ) -> None:
        """Loads nothing; `follow` does that.

        Args:
            settings: The models.
            how: How versions are loaded and run.
            poll_seconds: How often base paths and the config file are checked; 0 for once.
            reload_roots: Folders in which `reconfigure` accepts base paths, besides those of the models.
        """
        self.models = Models(how.metrics)
        self._how, self._poll_seconds = how, poll_seconds
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader")
        self.models.by_name = {each.name: ServedModel(each, how, self._loader) for each in settings}
        self._coming: dict[str, ServedModel] = {}  # replacements from another base path
        self._roots = {each.base_path.resolve() for each in settings} | {root.resolve() for root in reload_roots}
        self._configured = asyncio.Event()
        self._looking = asyncio.Lock()
        self._fingerprint: object = None

    async def follow(self, config: Path | None, changed: Callable[[], object]) -> None:
        """Checks base paths and config file in a loop, and loads and unloads versions.

        Args:
            config: The model config file; reloaded when it changes.
            changed: Called after each check.
        """
        self._fingerprint = files.fingerprint(config) if config else None
        while True:
            try:
                if config and self._fingerprint != (now := files.fingerprint(config)):
                    self._fingerprint = now
                    await self._read(config)
                await self._look()
            except Exception:  # whatever fails, the current versions are served
                _log.exception("checking for new versions failed")
            changed()
            await self._until_the_next_look(changed)

    async def _until_the_next_look(self, changed: Callable[[], object]) -> None:
        """Waits for the next poll; without polling, only reload requests cause calls of `changed`."""
        if self._poll_seconds:
            await asyncio.sleep(self._poll_seconds)
        while not self._poll_seconds:
            await self._configured.wait()
            self._configured.clear()
            changed()

    async def reconfigure(self, settings: Sequence[ModelSettings]) -> None:
        """Serves other models, versions or labels, and waits for them; the current ones are served until then.

        Raises:
            ServingError: Nothing has changed. PERMISSION_DENIED: a base path is outside the folders that the server
                was started with; otherwise as `ServedModel.prepare`.
        """
        for each in settings:
            self._require_allowed(each)
        # Goes on even if the client disconnects, because a load cannot be cancelled.
        change = asyncio.create_task(self._change(settings))
        change.add_done_callback(_read_error)
        await asyncio.shield(change)

    def _require_allowed(self, wanted: ModelSettings) -> None:
        """Refuses paths outside the allowed folders, for reading models and for writing logs."""
        places = {"base_path": wanted.base_path}
        known = self.models.by_name.get(wanted.name)
        if wanted.logging and not (known and known.settings.logging == wanted.logging):
            places["filename_prefix"] = wanted.logging.prefix
        for field, path in places.items():
            # Symlinks and `..` are resolved before the check.
            place = path.resolve()
            if not any(place == root or root in place.parents for root in self._roots):
                raise ServingError(
                    _CODE.PERMISSION_DENIED,
                    f"{field} {path} of model {wanted.name} is outside the folders that this server was started "
                    "with; --reload-root allows others",
                )

    async def stop(self) -> None:
        """Unloads all models after their last requests."""
        await asyncio.gather(*(model.stop() for model in [*self.models.by_name.values(), *self._coming.values()]))
        self._loader.shutdown()

    async def _look(self) -> None:
        async with self._looking:
            await asyncio.gather(*(model.follow() for model in [*self.models.by_name.values(), *self._coming.values()]))
            arrived = [name for name, model in self._coming.items() if model.available]
            gone = [self.models.by_name[name] for name in arrived]
            self.models.by_name |= {name: self._coming.pop(name) for name in arrived}
        await self._stop(gone)

    async def _read(self, config: Path) -> None:
        """Applies a changed config file; an invalid one changes nothing."""
        try:
            settings = model_config.load(config)
        except TaxiwayError as error:
            _log.error("%s; the models are unchanged", error)
            return
        # Anyone who can write the file may add folders.
        self._roots |= {each.base_path.resolve() for each in settings}
        await self._take_over(settings)
        for each in settings:
            try:
                self.models.by_name[each.name].require_labels()
            except ServingError as error:
                _log.error("%s", error.message)
        _log.info("read %s: %s", config, ", ".join(each.name for each in settings) or "no models")

    async def _change(self, settings: Sequence[ModelSettings]) -> None:
        """Applies all settings or none."""
        async with self._looking:
            models = {each.name: self._same(each) or self._made(each) for each in settings}
            try:
                for each in settings:
                    if models[each.name].settings != each or models[each.name] is not self.models.by_name.get(
                        each.name
                    ):
                        await models[each.name].prepare(each)
            except Exception:
                await self._undo(models)
                raise
            gone = await self._replace(models, settings)
        await self._stop(gone)

    async def _undo(self, prepared: Mapping[str, ServedModel]) -> None:
        """Unloads what was prepared."""
        new = [model for name, model in prepared.items() if model is not self.models.by_name.get(name)]
        await asyncio.gather(*(model.follow() for model in prepared.values() if model not in new))
        await self._stop(new)

    async def _take_over(self, settings: Sequence[ModelSettings]) -> None:
        """Applies as much as is possible; a model is served from its old base path until the new one has a version."""
        async with self._looking:
            models = {each.name: self._same(each) or self._made(each) for each in settings}
            moved = {
                name
                for name in models.keys() & self.models.by_name.keys()
                if models[name] is not self.models.by_name[name]
            }
            await asyncio.gather(*(models[name].follow() for name in moved))
            coming = {name: models[name] for name in moved if not models[name].available}
            waiting = {name: self.models.by_name[name] for name in coming}
            gone = await self._replace(models | waiting, [each for each in settings if each.name not in coming])
            self._coming = coming
        await self._stop(gone)

    def _same(self, settings: ModelSettings) -> ServedModel | None:
        """The model that is already served from that base path."""
        found = self.models.by_name.get(settings.name)
        return found if found and found.settings.base_path == settings.base_path else None

    def _made(self, settings: ModelSettings) -> ServedModel:
        return ServedModel(settings, self._how, self._loader)

    async def _replace(self, models: Mapping[str, ServedModel], settings: Sequence[ModelSettings]) -> list[ServedModel]:
        """Serves models with new settings; returns those that are no longer served."""
        gone = [model for name, model in self.models.by_name.items() if models.get(name) is not model]
        gone += self._coming.values()
        self.models.by_name, self._coming = dict(models), {}
        for each in settings:
            models[each.name].configure(each)
        await asyncio.gather(*(models[each.name].follow() for each in settings))
        self._configured.set()
        return gone

    async def _stop(self, gone: Sequence[ServedModel]) -> None:
        if gone:
            await asyncio.gather(*(model.stop() for model in gone))
            for model in self.models.by_name.values():
                model.tell_states()


def _read_error(change: asyncio.Task[None]) -> None:
    """Retrieves the exception, which would otherwise be logged as unhandled if the client has disconnected."""
    if not change.cancelled():
        change.exception()
