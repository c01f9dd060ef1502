"""Verifies that a version is what was pushed: a SavedModel is a program that the server runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import grpc

from components.contract.digests import BESIDE, PROVENANCE_FILE, SIGNATURE_FILE, file_digests, files_digest
from components.execution.provenance import Record, parse_chain
from taxiway.serving.errors import ServingError

Rule = Literal["never", "recorded", "always"]


@dataclass(frozen=True)
class Verification:
    """What is checked before a version is loaded.

    Attributes:
        record: `never`: no check; `recorded`: if a version has a provenance.json, its files must match; `always`: a
            version without one is refused as well.
        public_key: Public key in PEM format with which the signature is verified; None for no signature check.
    """

    record: Rule = "recorded"
    public_key: Path | None = None

    def require(self, folder: Path) -> None:
        """Checks a version; reads all of its files.

        Raises:
            ServingError: FAILED_PRECONDITION: it is not what was pushed or signed; names the difference.
        """
        if self.public_key:
            _require_signature(folder, self.public_key)
        if self.record != "never":
            _require_recorded(folder, is_needed=self.record == "always")


def _refused(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)


def _require_recorded(folder: Path, *, is_needed: bool) -> None:
    file = folder / PROVENANCE_FILE
    try:
        records = parse_chain(file.read_bytes()) if file.is_file() else []
        found = file_digests(folder) if records else {}
    except OSError as error:
        raise _refused(f"{folder} cannot be read: {error}") from error
    if not records:
        if is_needed or file.exists():
            raise _refused(f"{folder} has no record of what was pushed ({PROVENANCE_FILE})")
    elif files_digest(found) != records[0]["digest"]:
        raise _refused(f"{folder} is not what was pushed: {_difference(found, records[0])}")


def _difference(found: dict[str, str], record: Record) -> str:
    recorded = record.get("files")
    if not isinstance(recorded, dict):
        return f"its digest is {files_digest(found)}, the recorded one is {record['digest']}"
    there = found.keys() - BESIDE
    parts = {
        "changed": sorted(name for name in there & recorded.keys() if found[name] != recorded[name]),
        "missing": sorted(recorded.keys() - there),
        "not in its record": sorted(there - recorded.keys()),
    }
    said = "; ".join(f"{what}: {', '.join(names[:5])}" for what, names in parts.items() if names)
    return said or f"the recorded digest is {record['digest']}"


def _require_signature(folder: Path, public_key: Path) -> None:
    from model_signing import hashing, verifying

    signature = folder / SIGNATURE_FILE
    if not signature.is_file():
        raise _refused(f"{folder} is not signed: there is no {SIGNATURE_FILE}")
    # The package's own command ignores this file when it signs.
    hashed = hashing.Config().set_ignored_paths(paths=[signature])
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key).set_hashing_config(hashed)
    try:
        verifier.verify(folder, signature)
    except Exception as error:  # the package raises many types of errors, especially on hostile files
        raise _refused(f"the signature of {folder} is invalid: {error or type(error).__name__}") from error
