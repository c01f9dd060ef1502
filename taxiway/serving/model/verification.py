"""Whether a version is what was pushed: a SavedModel is a program, and a server runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import grpc

from components.contract.digests import PROVENANCE_FILE, SIGNATURE_FILE, file_digests, files_digest
from components.execution.provenance import Record, parse_chain
from taxiway.serving.errors import ServingError

Rule = Literal["never", "recorded", "always"]


@dataclass(frozen=True)
class Verification:
    """What a version has to show before it is loaded.

    Attributes:
        record: `never`: nothing is compared; `recorded`: a version with a provenance.json has the content that it
            names; `always`: a version without one is refused too.
        public_key: A public key, PEM, whose holder has to have signed the version; None for no signature.
    """

    record: Rule = "recorded"
    public_key: Path | None = None

    def require(self, folder: Path) -> None:
        """Reads every file of a version.

        Raises:
            ServingError: FAILED_PRECONDITION: it is not what was pushed or signed; says how it differs.
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
        return f"its content is {files_digest(found)}, its record says {record['digest']}"
    beside = {PROVENANCE_FILE, SIGNATURE_FILE}
    there = found.keys() - beside
    parts = {
        "changed": sorted(name for name in there & recorded.keys() if found[name] != recorded[name]),
        "missing": sorted(recorded.keys() - there),
        "not in its record": sorted(there - recorded.keys()),
    }
    said = "; ".join(f"{what}: {', '.join(names[:5])}" for what, names in parts.items() if names)
    return said or f"its record says {record['digest']}"


def _require_signature(folder: Path, public_key: Path) -> None:
    from model_signing import hashing, verifying

    signature = folder / SIGNATURE_FILE
    if not signature.is_file():
        raise _refused(f"{folder} is not signed: there is no {SIGNATURE_FILE}")
    # What the package's own command leaves out when it signs.
    hashed = hashing.Config().set_ignored_paths(paths=[signature])
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key).set_hashing_config(hashed)
    try:
        verifier.verify(folder, signature)
    except Exception as error:  # the package raises whatever its parts raise, on hostile files too
        raise _refused(f"the signature of {folder} does not hold: {error or type(error).__name__}") from error
