"""Where Taxiway stores files: in `.taxiway/` in the working folder, or in TAXIWAY_HOME.

artifacts/<pipeline>/<task>/<key>/   the complete outputs of a stage, with their manifest
stages/<pipeline>/<key>/             the outputs of a stage in a fused pod; see components/fused/stage_cache.py
runs/<run>/                          run.json, pipeline.yaml, logs/<task>.log
environments/<key>/                  packages that tasks install before they start; see taxiway/packages/environments.py
loop/                                the locks of loops, and what their runs print
loop/rollouts/<model>/               the rollout of a model's version; see taxiway/delivery/keeper.py
work/                                unfinished outputs; never read
lineage.db                           ML Metadata
digests.db                           cached digests of files
packages.json                        cached metadata of the installed packages
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The folders under one root, an absolute path."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """TAXIWAY_HOME, else `.taxiway` in the working folder."""
        return cls(Path(os.environ.get("TAXIWAY_HOME") or ".taxiway").absolute())

    @property
    def artifacts(self) -> Path:
        """The outputs of stages."""
        return self.root / "artifacts"

    @property
    def stages(self) -> Path:
        """The outputs of stages in fused pods."""
        return self.root / "stages"

    @property
    def runs(self) -> Path:
        """One folder per run."""
        return self.root / "runs"

    @property
    def monitoring(self) -> Path:
        """The tables of watched models, one folder per model."""
        return self.root / "monitoring"

    @property
    def loop(self) -> Path:
        """What loops keep on this machine: their locks, and what their runs print."""
        return self.root / "loop"

    @property
    def rollouts(self) -> Path:
        """One folder per model."""
        return self.root / "loop" / "rollouts"

    @property
    def environments(self) -> Path:
        """Environments with the packages that tasks install."""
        return self.root / "environments"

    @property
    def work(self) -> Path:
        """Unfinished outputs, on the same file system as the artifacts."""
        return self.root / "work"

    @property
    def digests(self) -> Path:
        """The database of cached digests."""
        return self.root / "digests.db"

    @property
    def packages(self) -> Path:
        """The cached metadata of the installed packages."""
        return self.root / "packages.json"

    @property
    def lineage(self) -> str:
        """The connection of the lineage store: TAXIWAY_LINEAGE, else an SQLite file."""
        return os.environ.get("TAXIWAY_LINEAGE") or str(self.root / "lineage.db")
