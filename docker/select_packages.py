"""Writes `docker/packages/`: which packages of requirements.lock each image installs, beyond those of the one before.

    bin/python docker/select_packages.py          writes the lists
    bin/python docker/select_packages.py cuda     prints what TensorFlow needs of CUDA, which has a lock of its own

The lock says how each package is pinned, the installed packages' metadata what each of them needs. `sources.txt` is
written by hand: the packages that indexes have as source only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docker/packages"

# With what the stages of a kind import; see `image` in components/*/stage.py.
ROOTS = {
    "build": ["setuptools", "wheel"],
    "serve": ["gcsfs", "s3fs"],
    "data": ["apache-beam", "dvc[s3]", "google-crc32c", "pyarrow", "pyyaml", "tensorflow-data-validation"],
    # All but what only development needs: modules of users import what they like, and TFX's what TFX has.
    "train": ["taxiway"],
}


def packages(kind: str) -> set[str]:
    """The packages that an image needs in all, by their names in the lock."""
    found: dict[str, set[str]] = {}
    waiting = [Requirement(root) for root in ROOTS[kind]]
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), {"", *requirement.extras}
        if name in found and extras <= found[name]:
            continue
        found[name] = extras | found.get(name, set())
        waiting += _needs(name, found[name])
    return set(found) & set(locked())


def _needs(name: str, extras: Iterable[str]) -> Iterator[Requirement]:
    for text in requires(name) or []:
        requirement = Requirement(text)
        if not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


def locked() -> list[str]:
    """The names in the lock."""
    return re.findall(r"^([a-z0-9.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)


def cuda() -> list[Requirement]:
    """What TensorFlow needs of CUDA's libraries."""
    found = [Requirement(text) for text in requires("tensorflow") or []]
    return [each for each in found if each.marker and "and-cuda" in str(each.marker)]


def lists() -> dict[str, str]:
    """Each list's text by its kind; an image holds those of the kinds before as well."""
    texts = {"build": _text(packages("build")), "gpu": _text({each.name for each in cuda()})}
    before = set[str]()
    for kind in ("serve", "data", "train"):
        own = packages(kind)
        texts[kind] = _text(own - before)
        before |= own
    return texts


def _text(names: set[str]) -> str:
    return "".join(f"{name}\n" for name in sorted(names))


if __name__ == "__main__":
    if sys.argv[1:] == ["cuda"]:
        print(*(f"{each.name}{each.specifier}" for each in cuda()), sep="\n")
        sys.exit()
    FOLDER.mkdir(exist_ok=True)
    for kind, text in lists().items():
        (FOLDER / f"{kind}.txt").write_text(text)
