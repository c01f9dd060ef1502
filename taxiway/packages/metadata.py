"""Reads the metadata of installed packages from their `.dist-info` folders.

`importlib.metadata` reads the same, but takes ten times as long because it parses the whole descriptions.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from components.contract.digests import text_digest

_KINDS = (".dist-info", ".egg-info")
_REQUIREMENT = re.compile(r"^Requires-Dist: *([\w.-]+) *(?:\[([^\]]*)\])?(.*)$", re.MULTILINE)
_EXTRA = re.compile(r"""extra *== *['"]([^'"]+)""")
# A top-level file or folder in site-packages, without metadata and files outside it.
_AT_TOP = re.compile(r"^(?!\.\.|__pycache__)([\w-]+)(?:/|(?:\.[\w-]+)*\.(?:py|so|pyd)\b)", re.MULTILINE)
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "build", "dist"}
# .pth files for old-style namespaces, and those that concern a single package, which a process may not import.
_HARMLESS = re.compile(r"__editable__.*|.*-nspkg|distutils-precedence")


@dataclass(frozen=True, kw_only=True)
class Package:
    """An installed package.

    Attributes:
        name: Its canonical name.
        version: Its version.
        place: The folder of its metadata.
        modules: Its top-level modules.
        needs: Its dependencies: name, the extras requested of it, and the extra of this package that requires it.
        editable: The folder of its code if it is an editable install.
    """

    name: str
    version: str
    place: str
    modules: list[str]
    needs: list[tuple[str, list[str], str]]
    editable: str

    @property
    def label(self) -> str:
        """Name and version; for an editable install, also the digest of its code."""
        return f"{self.name}=={self.version}" + (f" {_code_digest(Path(self.editable))}" if self.editable else "")


def places() -> dict[str, Path]:
    """The metadata folders of all packages on sys.path, in order, by a key that changes with the package."""
    found = {}
    for folder in dict.fromkeys(filter(None, sys.path)):
        for name in sorted(_entries(folder)):
            path = Path(folder, name)
            # A wheel's metadata folder has the version in its name; that of a source tree does not.
            changed = "" if name.endswith(_KINDS[0]) else f" {path.stat().st_mtime_ns}"
            found[f"{path}{changed}"] = path
    return found


def _entries(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.name.endswith(_KINDS) and entry.is_dir()]
    except OSError:
        return []


def read(place: Path) -> dict[str, Any]:
    """The fields of a Package."""
    head = (_text(place / "METADATA") or _text(place / "PKG-INFO")).partition("\n\n")[0]
    name, version = (_field(head, field) for field in ("Name", "Version"))
    editable = _editable(place)
    package = Package(
        name=canonical(name or place.name.partition("-")[0]),
        version=version,
        place=str(place),
        modules=sorted({*_modules(place), *(_modules_of(Path(editable)) if editable else ())}),
        needs=[need for match in _REQUIREMENT.finditer(head) for need in _needs(*match.groups(""))],
        editable=editable,
    )
    return asdict(package)


def canonical(name: str) -> str:
    """A package's normalized name, as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def split(text: str) -> tuple[str, list[str]]:
    """Splits `name[extra,...]` into name and extras."""
    name, _, extras = text.rstrip("]").partition("[")
    return canonical(name), [canonical(extra) for extra in extras.split(",") if extra.strip()]


def has_module(package: Package, path: str) -> bool:
    """Whether a package contains a module, given by its path: `google/cloud/storage`."""
    record = "\n" + _text(Path(package.place) / "RECORD")
    return f"\n{path}/" in record or f"\n{path}." in record


def startup() -> list[str]:
    """A digest of the code that runs at the start of every Python process: .pth files, sitecustomize."""
    site = [Path(folder) for folder in sys.path if folder.endswith(("site-packages", "dist-packages"))]
    paths = [path for folder in site for path in sorted(folder.glob("*.pth")) if not _HARMLESS.fullmatch(path.stem)]
    lines = [line for path in paths for line in _text(path).splitlines() if line.startswith(("import ", "import\t"))]
    modules = (Path(folder, f"{name}.py") for name in ("sitecustomize", "usercustomize") for folder in sys.path)
    lines += [_text(path) for path in modules if path.is_file()]
    return [f"at the start {text_digest(chr(0).join(lines))}"] if lines else []


def _needs(name: str, extras: str, condition: str) -> list[tuple[str, list[str], str]]:
    # Other markers, such as the platform, were evaluated by the installer: what they exclude is not installed.
    under = _EXTRA.findall(condition) or [""]
    return [(*split(f"{name}[{extras}"), canonical(each)) for each in under]


def _modules(place: Path) -> set[str]:
    listed = _text(place / "top_level.txt").split()
    return set(listed) or set(_AT_TOP.findall(_text(place / "RECORD")))


def _editable(place: Path) -> str:
    try:
        found = json.loads(_text(place / "direct_url.json") or "{}")
    except ValueError:
        return ""
    return unquote(urlsplit(found["url"]).path) if found.get("dir_info", {}).get("editable") else ""


def _modules_of(folder: Path) -> set[str]:
    """The top-level modules of a project's source folder, because not every build backend records them."""
    roots = [root for root in (folder, folder / "src") if root.is_dir()]
    packages = {path.parent.name for root in roots for path in root.glob("*/__init__.py")}
    return packages | {path.stem for root in roots for path in root.glob("*.py") if path.stem != "setup"}


def _code_digest(folder: Path) -> str:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        found += [Path(place, name) for name in sorted(names) if name.endswith(".py")]
    return text_digest("".join(f"{path.relative_to(folder)}\0{_text(path)}\0" for path in found))


def _field(head: str, name: str) -> str:
    found = re.search(rf"^{name}: *(\S+)", head, re.MULTILINE)
    return found[1] if found else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="surrogateescape")
    except OSError:
        return ""
