"""The inference table in an object store."""

from __future__ import annotations

import threading
from typing import Any

from components.inference import reading, table
from tests.components.inference.test_table import ALL, DAY, rows


def test_several_writers_share_a_table_in_s3(aws: Any) -> None:
    aws.create_bucket(Bucket="inference-tables")
    root = "s3://inference-tables/watch/m"

    def write(writer: int) -> None:
        for number in range(4):
            table.append(root, rows(DAY, input_n=[writer * 10 + number]))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table.compact(root)
    version, [(start, _)] = reading.changed(root, None)
    assert start == DAY
    found = [value for batch in reading.batches(root, version, *ALL) for value in batch["input_n"].to_pylist()]
    assert sorted(found) == sorted(writer * 10 + number for writer in range(3) for number in range(4))
    assert reading.changed(root, version) == (version, [])
