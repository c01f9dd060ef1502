"""`python image.py PROGRAM NAME`: writes an image that only contains a program, like `docker save`."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path


def _tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def image(program: bytes, name: str) -> bytes:
    """The archive of the image."""
    layer = _tar({"pause": program})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"config.json": config, "manifest.json": manifest}
    return _tar({"layer.tar": layer, **{file: json.dumps(content).encode() for file, content in files.items()}})


if __name__ == "__main__":
    sys.stdout.buffer.write(image(Path(sys.argv[1]).read_bytes(), sys.argv[2]))
