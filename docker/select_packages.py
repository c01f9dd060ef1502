"""Writes `docker/packages/`: the packages in requirements.lock that each image adds to the one before.

    bin/python docker/select_packages.py          writes the lists
    bin/python docker/select_packages.py cuda     prints the CUDA libraries that TensorFlow needs (for gpu.lock)

The lock pins the packages; the metadata of the installed packages list their dependencies. `sources.txt` is written by
hand: packages that the index has only as source.
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

# What the stages of each kind import; see `image` in components/*/stage.py.
ROOTS = {
    "build": ["setuptools", "wheel"],
    "serve": ["gcsfs", "markupsafe", "s3fs"],
    "data": ["apache-beam", "dvc[s3]", "google-crc32c", "pyarrow", "pyyaml", "tensorflow-data-validation"],
    # Everything except development tools: users' modules import what they like, and TFX modules import TFX.
    "train": ["taxiway"],
}


def packages(kind: str) -> set[str]:
    """All packages that an image needs, by their names in the lock."""
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
    """The CUDA libraries that TensorFlow needs."""
    found = [Requirement(text) for text in requires("tensorflow") or []]
    return [each for each in found if each.marker and "and-cuda" in str(each.marker)]


def lists() -> dict[str, str]:
    """The text of each list by kind; an image also has the packages of the kinds before."""
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
