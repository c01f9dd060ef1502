"""The smallest p-value of real pairs is as small as the simulated ones, where tests are coarse as well."""

from __future__ import annotations

import numpy as np
import pytest

from components.monitoring.calibration import statistics
from components.monitoring.calibration.family import family
from components.monitoring.calibration.groups import WIDTH

COLUMNS = 20


@pytest.mark.parametrize(("rows", "reference_rows"), [(200, 10_000), (20_000, 10_000), (1_000_000, 10_000)])
@pytest.mark.parametrize("share", [0.001, 0.02])
def test_rare_values_have_the_level_at_every_size(share: float, rows: int, reference_rows: int) -> None:
    chance = np.random.default_rng(rows)
    codes = np.where(chance.random((10_000, COLUMNS)) < share, WIDTH, 0).astype(np.int32)
    simulated = family(codes, np.zeros(COLUMNS, dtype=bool), rows, reference_rows)
    now, then = (chance.binomial(size, share, size=(4000, COLUMNS)) for size in (rows, reference_rows))
    p_values = statistics.share(now, np.float64(rows), then, np.float64(reference_rows)).p_value
    found = simulated.adjusted(p_values.min(-1)) <= 0.05
    assert found.mean() < 0.065


def test_without_a_sample_of_training_rows_each_test_counts() -> None:
    none = family(np.empty((0, 2), np.int32), np.zeros(2, dtype=bool), 100, 1000)
    assert none.adjusted(np.array([0.01, 0.5]), others=1) == pytest.approx([0.05, 1.0])
