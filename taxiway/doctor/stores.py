"""Checks of model stores: is the destination's driver installed, and does the store answer?"""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import PurePosixPath
from typing import Any

from components.versioning.dvc_revisions import without_credentials
from taxiway.doctor.findings import Check, Line, State, Use, short


def checks(use: Use) -> list[Check]:
    """The stores that the pipeline pushes models to."""
    if not use.tasks:
        return []
    return [Check("model store", "pipeline", lambda: _model_stores(use))]


def _model_stores(use: Use) -> list[Line]:
    mounted: dict[str, list[str]] = {}
    for task in use.tasks:
        if task.destination:
            mounted.setdefault(task.destination, []).extend(task.claims)
    return [_model_store(use, url, paths) for url, paths in mounted.items()]


def _model_store(use: Use, url: str, mounted: list[str]) -> Line:
    from fsspec.core import split_protocol

    protocol, path = split_protocol(url)
    if protocol not in (None, "file", "local"):
        return _driver(url, protocol)
    if use.on_cluster and not any(PurePosixPath(path).is_relative_to(folder) for folder in mounted):
        found = f"{url} is a folder in a pod and is lost with it"
        return Line("model store", State.WARNING, found, "use an object store: --param destination=s3://BUCKET/MODELS")
    kind = "a folder on a mounted volume" if use.on_cluster else "a folder"
    return Line("model store", State.OK, f"{url}: {kind}")


def _driver(url: str, protocol: str) -> Line:
    """Whether a scheme's driver is installed. None is instantiated: some look up credentials on the network at once."""
    from fsspec.registry import get_filesystem_class, known_implementations

    try:
        package = get_filesystem_class(protocol).__module__.partition(".")[0]
    except (ImportError, ValueError) as error:
        advice = str(known_implementations.get(protocol, {}).get("err", ""))
        return Line("model store", State.MISSING, f"{url}: {short(error)}", advice or "give a folder, s3:// or gs://")
    return Line("model store", State.OK, f"{url}: {package} is installed")


def unreachable(fs: Any, path: str) -> str:
    """Why a DVC remote does not answer; empty if it does. Nothing is written."""
    # S3's library retries five times with exponential backoff.
    if fs.protocol == "s3":
        fs.fs_args.setdefault("config_kwargs", {})["retries"] = {"max_attempts": 0}
    try:
        if fs.protocol in ("http", "https"):
            return _http_unreachable(without_credentials(path))
        fs.ls(path, detail=False)
    except FileNotFoundError:
        return _without_folder(fs, path)
    except Exception as error:  # each store's library has its own errors
        return short(error)
    return ""


def _http_unreachable(url: str) -> str:
    """A web server cannot list folders, and may require a login that only DVC has: any answer but 5xx is fine."""
    try:
        urllib.request.urlopen(url).close()
    except urllib.error.HTTPError as error:
        with error:
            return f"it answers {error.code}" if error.code >= 500 else ""
    return ""


def _without_folder(fs: Any, path: str) -> str:
    """A missing folder is fine in an object store, which creates it on the first push; the bucket must exist."""
    bucket = path.lstrip("/").partition("/")[0]
    if fs.protocol == "local" or bucket == path:
        return "it does not exist"
    try:
        fs.ls(bucket, detail=False)
    except Exception as error:  # as above
        return short(error)
    return ""
