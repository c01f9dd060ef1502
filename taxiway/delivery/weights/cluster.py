"""Objects of a cluster that are read, changed and replaced; what others change in between is not lost."""

from __future__ import annotations

from collections.abc import Callable

from components.contract.errors import ServiceError, UserError
from taxiway.network.kubernetes import Json, KubernetesApi, NoAnswerError

_SECONDS = 3.0
_ATTEMPTS = 5
_CONFLICT, _FORBIDDEN, _MISSING = 409, 403, 404


class ClusterObject:
    """An object by its path."""

    def __init__(self, path: str, what: str, resource: str) -> None:
        self._path, self.what, self._resource = path, what, resource
        self._api: KubernetesApi | None = None

    def read(self) -> Json:
        """The object.

        Raises:
            ServiceError: The API does not answer, or refuses.
            UserError: There is no such object.
        """
        return self._asked(lambda api: api.get(self._path))

    def change(self, change: Callable[[Json], Json]) -> None:
        """Replaces the object by a changed one, if that differs; raises as `read`."""
        for attempt in range(_ATTEMPTS):
            found = self.read()
            changed = change(found)
            if changed == found:
                return
            try:
                self._asked(lambda api, body=changed: api.put(self._path, body))
                return
            except _ConflictError:
                if attempt == _ATTEMPTS - 1:
                    raise

    def _asked(self, call: Callable[..., Json]) -> Json:
        try:
            self._api = self._api or KubernetesApi(seconds=_SECONDS)
            return call(self._api)
        except NoAnswerError as error:
            self._api = None  # the kubeconfig may have changed
            raise self._explained(error) from error

    def _explained(self, error: NoAnswerError) -> Exception:
        if error.status == _CONFLICT:
            return _ConflictError(f"{self.what} is changed by others all the time", fix="look for who writes to it")
        if error.status == _FORBIDDEN:
            fix = f"grant get and update on {self._resource}, then: kubectl auth can-i update {self._resource}"
            return ServiceError(f"{self.what}: {error.found}", fix=fix)
        if error.status == _MISSING:
            return UserError(f"there is no {self.what}", fix=f"create it, or list: kubectl get {self._resource} -A")
        return ServiceError(f"{self.what}: {error.found}", fix=error.fix)


class _ConflictError(ServiceError):
    """Somebody else has changed the object since it was read."""
