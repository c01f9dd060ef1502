"""Says which estimates of a window are not to be trusted."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def doubts(quality: pa.Table | None) -> list[str]:
    """A sentence for each version whose estimates over all rows are not to be trusted."""
    if quality is None:
        return []
    rows = quality.filter(pc.and_(pc.equal(quality["slice"], ""), pc.equal(quality["trusted"], False)))
    found = {each["version"]: (each["beyond_column"], each["beyond"]) for each in rows.to_pylist()}
    return [f"version {version}: {doubt(column, share)}" for version, (column, share) in sorted(found.items())]


def doubt(column: str, share: float) -> str:
    """Why an estimate is not to be trusted."""
    return (
        f"the estimated quality is not to be trusted: {share:.0%} of the rows have a value of {column} beyond the "
        "range of the calibration"
    )
