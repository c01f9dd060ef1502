"""Verification before a version is loaded: its digest and its signature."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.contract.digests import PROVENANCE_FILE, file_digests, files_digest
from components.execution import pushed_models
from taxiway.serving.errors import ServingError
from taxiway.serving.model.verification import Verification
from tests.taxiway.serving import models, server

Saved = Callable[[str], Path]


def recorded(folder: Path) -> Path:
    """Writes the provenance record of a push beside a model, as the pusher does."""
    files = file_digests(folder)
    record: dict[str, Any] = {"digest": files_digest(files), "files": files}
    keys = ("type", "output", "stage", "stage_version", "parameters", "code", "image", "inputs", "created")
    record |= dict.fromkeys(keys, "")
    (folder / PROVENANCE_FILE).write_text(json.dumps([record]))
    return folder


@pytest.fixture
def version(saved: Saved, tmp_path: Path) -> Path:
    shutil.copytree(saved("half_plus_two"), tmp_path / "half" / "1")
    return recorded(tmp_path / "half" / "1")


def refusal(folder: Path, verification: Verification) -> str:
    with pytest.raises(ServingError) as error:
        verification.require(folder)
    return error.value.message


def test_the_record_is_one_that_taxiway_reads(version: Path) -> None:
    pushed = next(pushed_models.versions(pushed_models.open_destination(str(version.parent))))
    assert pushed.recorded_digest() == pushed.content_digest()


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_version_with_changed_added_or_missing_files_is_refused(version: Path, count: int) -> None:
    verification, rng = Verification("always"), np.random.default_rng(5)
    verification.require(version)
    files = [path for path in sorted(version.rglob("*")) if path.is_file() and path.name != PROVENANCE_FILE]
    for number in range(count):
        file = files[int(rng.integers(len(files)))]
        before = file.read_bytes()
        name = file.relative_to(version).as_posix()
        kind = int(rng.integers(5))
        added = version / f"added{number}.txt"
        if kind == 0:
            at = int(rng.integers(len(before)))
            file.write_bytes(before[:at] + bytes([before[at] ^ 1 << int(rng.integers(8))]) + before[at + 1 :])
            words = f"changed: {name}"
        elif kind == 1:
            file.write_bytes(before[: int(rng.integers(len(before)))])
            words = f"changed: {name}"
        elif kind == 2:
            file.unlink()
            words = f"missing: {name}"
        elif kind == 3:
            added.write_bytes(b"")
            words = f"not in its record: {added.name}"
        else:
            file.rename(added)
            words = f"missing: {name}; not in its record: {added.name}"
        message = refusal(version, verification)
        assert words in message, message
        added.unlink(missing_ok=True)
        file.write_bytes(before)
    verification.require(version)


def test_a_version_without_a_record_is_refused_if_verification_requires_one(version: Path) -> None:
    (version / PROVENANCE_FILE).write_text("{")
    assert "has no record" in refusal(version, Verification("recorded"))
    (version / PROVENANCE_FILE).unlink()
    assert "has no record" in refusal(version, Verification("always"))
    Verification("recorded").require(version)
    (version / "saved_model.pb").write_bytes(b"")
    Verification("never").require(version)


def key_pair(folder: Path) -> tuple[Path, Path]:
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def sign(version: Path, private: Path) -> None:
    """Signs as documented: `model_signing sign key --private_key KEY --signature model.sig MODEL`."""
    signature = version / "model.sig"
    command = [sys.executable, "-m", "model_signing", "sign", "key", "--private_key", private, "--signature", signature]
    subprocess.run([*command, version], check=True, capture_output=True)


def test_a_key_makes_signatures_mandatory(version: Path, tmp_path: Path) -> None:
    private, public = key_pair(tmp_path / "ours")
    other, _ = key_pair(tmp_path / "theirs")
    verification = Verification(public_key=public)
    assert "is not signed: there is no model.sig" in refusal(version, verification)
    sign(version, private)
    verification.require(version)
    assert files_digest(file_digests(version)) == json.loads((version / PROVENANCE_FILE).read_text())[0]["digest"]
    # The signature includes the record, which could otherwise be changed together with the files.
    (version / "fingerprint.pb").write_bytes(b"x")
    recorded(version)
    Verification().require(version)
    assert "the signature" in refusal(version, verification)
    assert "fingerprint.pb" in refusal(version, verification)
    (version / "model.sig").unlink()
    sign(version, other)
    assert "is invalid" in refusal(version, verification)
    for junk in ("", "{}", "[" * 10_000, '{"mediaType": 3}'):
        (version / "model.sig").write_text(junk)
        assert "is invalid" in refusal(version, verification)


def test_a_server_loads_no_version_that_was_changed(version: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(version, tmp_path / "broken")
    (broken / "variables" / "variables.index").write_bytes(b"")
    with server.running(tmp_path, version.parent, "--verify") as running:
        running.wait("half", {1: "AVAILABLE"})
        models.publish(broken, version.parent, 2)
        running.wait("half", {1: "AVAILABLE", 2: "END"})
        assert "is not what was pushed: changed: variables/variables.index" in running.error("half", 2)
        assert running.predict("half", x=[1.0])["y"] == [2.5]
