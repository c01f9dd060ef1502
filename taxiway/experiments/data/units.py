"""The units of an experiment: who had which arm when, and the sums of each unit's requests and outcomes.

A unit counts once its window is over, so that its values do not change any more, and it counts for the arm of its first
request, whatever it got later. The work is done by DuckDB.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

import duckdb

from components.contract.errors import DataError, UserError
from components.monitoring.labels.sources import load, named
from components.monitoring.store import Store
from taxiway.experiments.data.columns import Columns, Value, all_sides
from taxiway.experiments.data.database import during, instant, one, register_requests, span
from taxiway.experiments.data.outcomes import Source, loaded
from taxiway.experiments.settings import BEFORE, FIXED, PROPORTION, REQUEST, Experiment

_PAST = "past"


@dataclass(frozen=True)
class Counts:
    """What was left out, and why.

    Attributes:
        requests: Rows of the arms since the start.
        elsewhere: Rows since the start with other targets, labels or versions.
        keyless: Rows of the arms without a key.
        units: Units of the arms.
        waiting: Units whose window is not over.
        mixed: Units with requests in several arms.
        beyond: Units after the planned size, of a fixed one.
        lost: By outcome: rows whose request or key is not in the experiment.
        first: The first unit's first request; None without units.
        last: The last unit's.
    """

    requests: int
    elsewhere: int
    keyless: int
    units: int = 0
    waiting: int = 0
    mixed: int = 0
    beyond: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True)
class Units:
    """The table `units` of a database: unit, first, arm, mixed, weight, ready, and the columns of slices and metrics.

    Attributes:
        connection: The database.
        experiment: The settings.
        until: The time of the look.
        is_weighted: Whether units count by one over the share of requests that was recorded.
        shares: The least and the greatest recorded share of each arm.
        sources: The outcomes.
        counts: What was left out.
    """

    connection: duckdb.DuckDBPyConnection
    experiment: Experiment
    until: datetime
    is_weighted: bool
    shares: dict[str, tuple[float, float]]
    sources: list[Source]
    counts: Counts


def build(
    connection: duckdb.DuckDBPyConnection,
    experiment: Experiment,
    store: Store,
    until: datetime,
    *,
    everybody: bool = False,
) -> Units:
    """Makes the table `units`.

    Args:
        connection: From `database`.
        experiment: The settings.
        store: The model's tables.
        until: The time up to which rows count.
        everybody: Whether all requests count, whatever arm they had: the traffic before an experiment.

    Raises:
        UserError: The model has no inference table, or a column or source is missing.
        DataError: No request of an arm was recorded.
    """
    there = register_requests(connection, store)
    if there is None:
        raise UserError(
            f"{experiment.model} has no inference table in {store.root}",
            fix="start the proxy or the server with --inference-tables, or name the folder with --tables",
        )
    sources = loaded(connection, experiment, store, until)
    columns = Columns(there, sources)
    parts = all_sides(experiment, columns)
    extra = _extra(experiment, columns)
    _keys(connection, experiment)
    last = min(until, experiment.end + experiment.window) if experiment.end else until
    _exposed(connection, experiment, columns, period=(experiment.start, last), table="exposed", everybody=everybody)
    counts = _counted(connection, experiment, last)
    shares = _shares(connection, experiment)
    is_weighted = any(low < high - 1e-9 for low, high in shares.values()) or len(set(shares.values())) > 1
    weight = "1 / e.kept" if is_weighted and experiment.unit != REQUEST else "1"
    _base(connection, experiment, sources, parts, given=(extra, weight, instant(until)))
    joins = [_by_key(connection, source, index, experiment) for index, source in enumerate(sources) if source.is_by_key]
    if any(metric.covariate == BEFORE for metric in experiment.metrics):
        joins.append(_past(connection, experiment, columns, sources, parts))
    _finish(connection, experiment, parts, joins, until)
    found = Units(connection, experiment, until, is_weighted=is_weighted, shares=shares, sources=sources, counts=counts)
    return _with_counts(found)


def _extra(experiment: Experiment, columns: Columns) -> list[str]:
    """What a unit's first request says: its slices and covariates."""
    parts = [
        f"arg_min(e.{named(columns.recorded(name, f'slices[{index}]'))}::VARCHAR, e.time) AS slice{index}"
        for index, name in enumerate(experiment.slices)
    ]
    for index, metric in enumerate(experiment.metrics):
        if metric.covariate not in ("", BEFORE):
            column = columns.recorded(metric.covariate, f"metrics[{index}].covariate")
            parts.append(f"arg_min(e.{named(column)}::DOUBLE, e.time) AS known{index}")
    return parts


def _keys(connection: duckdb.DuckDBPyConnection, experiment: Experiment) -> None:
    """The keys of requests, if they are in a source of their own."""
    if not experiment.unit.startswith("header:") or experiment.keys is None:
        return
    keys = experiment.keys
    connection.execute("DROP VIEW IF EXISTS source")
    names = load(connection, keys.source, [keys.id, keys.key])
    if missing := [each for each in (keys.id, keys.key) if each not in names]:
        raise UserError(f"keys have no column {missing[0]!r}", fix=f"the columns are {', '.join(names)}")
    connection.execute(
        f"CREATE TABLE keys AS SELECT hash({named(keys.id)}::VARCHAR) AS joined_by, "
        f"any_value({named(keys.key)}::VARCHAR) AS key FROM source GROUP BY 1"
    )


def _arm(experiment: Experiment) -> str:
    """The number of a row's arm; null if it is in none."""
    cases = []
    for index, arm in enumerate(experiment.arms.values()):
        column, value = ("version", arm.version) if arm.version is not None else ("target", arm.target)
        if arm.label:
            column, value = "label", arm.label
        shown = value if column == "version" else "'" + str(value).replace("'", "''") + "'"
        cases.append(f"WHEN {column} = {shown} THEN {index}")
    return f"CASE {' '.join(cases)} END::TINYINT"


def _key(connection: duckdb.DuckDBPyConnection, experiment: Experiment, columns: Columns) -> str:
    """The key of a row as a string."""
    kind, _, name = experiment.unit.partition(":")
    if kind == "header":
        return "k.key"
    column = "request_id" if kind == REQUEST else columns.recorded(name, "unit")
    types = {row[0]: row[1] for row in connection.execute("DESCRIBE requests").fetchall()}
    return f"decode({named(column)})" if types[column] == "BLOB" else f"{named(column)}::VARCHAR"


def _exposed(
    connection: duckdb.DuckDBPyConnection,
    experiment: Experiment,
    columns: Columns,
    period: tuple[datetime, datetime],
    table: str,
    everybody: bool,
) -> None:
    """Copies the rows of the arms, or of everybody, in a time, with the columns that are needed."""
    key, join = _key(connection, experiment, columns), ""
    if experiment.unit.startswith("header:"):
        join = "LEFT JOIN keys k ON k.joined_by = hash(request_id)"
    rest = "".join(f", {named(name)}" for name in sorted(columns.used))
    # Request ids are long and many, and nobody looks at them again.
    kept_key = "NULL::VARCHAR" if experiment.unit == REQUEST else "key"
    arm = f"coalesce({_arm(experiment)}, 0)" if everybody else _arm(experiment)
    connection.execute(
        f"CREATE TABLE {table} AS SELECT hash(request_id) AS request, row AS example, time, arm, "
        f"CASE WHEN key IS NOT NULL THEN hash(key) END AS unit, {kept_key} AS key, kept, failed{rest} "
        f"FROM (SELECT requests.*, {arm} AS arm, {key} AS key, coalesce(share, 1) AS kept, "
        f"coalesce(status, 'OK') <> 'OK' AS failed FROM requests {join} WHERE {during(*period)}) "
        f"WHERE {'arm' if table == 'exposed' else 'key'} IS NOT NULL"
    )


def _counted(connection: duckdb.DuckDBPyConnection, experiment: Experiment, last: datetime) -> Counts:
    rows, keyless = one(connection, "SELECT count(*), count(*) FILTER (unit IS NULL) FROM exposed")
    everything = one(connection, f"SELECT count(*) FROM requests WHERE {during(experiment.start, last)}")[0]
    if not rows:
        raise DataError(
            f"no request of the arms {', '.join(experiment.arms)} was recorded since {experiment.start:%Y-%m-%d %H:%M}",
            fix="compare start and arms in the settings with `target`, `label` and `version` in the inference table",
        )
    if rows == keyless:
        raise DataError(f"no request has the key {experiment.unit!r}", fix="name another unit, such as request")
    if keyless:
        connection.execute("DELETE FROM exposed WHERE unit IS NULL")
    return Counts(rows, everything - rows, keyless)


def _shares(connection: duckdb.DuckDBPyConnection, experiment: Experiment) -> dict[str, tuple[float, float]]:
    rows = connection.execute("SELECT arm, min(kept), max(kept) FROM exposed GROUP BY arm ORDER BY arm").fetchall()
    names = list(experiment.arms)
    return {names[arm]: (low, high) for arm, low, high in rows}


def _joined(
    connection: duckdb.DuckDBPyConnection, sources: list[Source], table: str, limit: str, join: str = ""
) -> str:
    """The rows with the outcomes of their requests before a limit beside them, as a FROM clause."""
    found = f"{table} e"
    for index, source in enumerate(sources):
        if source.is_by_key:
            continue
        sums = "".join(f", sum(s.{named(column)}) AS {named(column)}" for column in source.columns)
        connection.execute(
            f"CREATE OR REPLACE TABLE {table}_o{index} AS SELECT e.request, e.example, count(*)::DOUBLE AS n{sums} "
            f"FROM {source.table} s JOIN {table} e ON e.request = s.joined_by AND e.example = s.example {join} "
            f"WHERE s.happened IS NULL OR s.happened < {limit} GROUP BY ALL"
        )
        found += (
            f" LEFT JOIN {table}_o{index} o{index} ON o{index}.request = e.request AND o{index}.example = e.example"
        )
    return found


def _sums(
    connection: duckdb.DuckDBPyConnection, experiment: Experiment, parts: list[list[Value]], joined: str, weight: str
) -> tuple[list[str], str]:
    """The sums over a unit's rows in SQL, and the rows with the ranked lists of NDCG beside them."""
    found = []
    for index, values in enumerate(parts):
        if experiment.metrics[index].kind == "ndcg":
            joined = _ranked(connection, experiment.metrics[index].top, index, values, joined)
            values = [Value(f"g{index}.gain"), Value(f"(g{index}.gain IS NOT NULL)::DOUBLE")]
        for side, value in enumerate(values):
            if value.source is None:
                found.append(f"sum({value.sql} * {weight}) AS v{index}_{side}")
    return found, joined


def _ranked(connection: duckdb.DuckDBPyConnection, top: int, index: int, values: list[Value], joined: str) -> str:
    """Adds the gain of each request's list, at its first row."""
    worth, score = values[0].sql, values[1].sql
    table = f"gains{index}_{'past' if joined.startswith(_PAST) else 'now'}"
    kept = f"<= {top}" if top else "> 0"
    connection.execute(
        f"CREATE TABLE {table} AS SELECT request, 0 AS example, "
        f"sum(worth / log2(place + 1)) FILTER (place {kept}) / "
        f"nullif(sum(worth / log2(best + 1)) FILTER (best {kept}), 0) AS gain "
        f"FROM (SELECT e.request, {worth} AS worth, "
        f"row_number() OVER (PARTITION BY e.request ORDER BY {score} DESC, e.example) AS place, "
        f"row_number() OVER (PARTITION BY e.request ORDER BY {worth} DESC) AS best "
        f"FROM {joined} WHERE {worth} IS NOT NULL AND {score} IS NOT NULL) GROUP BY request"
    )
    return f"{joined} LEFT JOIN {table} g{index} ON g{index}.request = e.request AND g{index}.example = e.example"


def _base(
    connection: duckdb.DuckDBPyConnection,
    experiment: Experiment,
    sources: list[Source],
    parts: list[list[Value]],
    given: tuple[list[str], str, str],
) -> None:
    extra, weight, until = given
    join, limit = "", f"least(e.time + {span(experiment.window)}, {until})"
    if experiment.unit != REQUEST:
        # A user's window begins with the first request, and nothing after it changes what the user counts.
        connection.execute("CREATE TABLE begun AS SELECT unit, min(time) AS began FROM exposed GROUP BY unit")
        limit = f"least(b.began + {span(experiment.window)}, {until})"
        join = f"JOIN begun b ON b.unit = e.unit AND e.time < b.began + {span(experiment.window)}"
    joined = _joined(connection, sources, "exposed", limit, join)
    sums, joined = _sums(connection, experiment, parts, joined, weight)
    joined = f"{joined} {join}"
    own = [
        "e.unit",
        "min(e.time) AS first",
        "arg_min(e.arm, e.time) AS arm",
        "min(e.arm) <> max(e.arm) AS mixed",
        "1 / min(e.kept) AS weight",
    ]
    if experiment.unit != REQUEST:
        own.append("any_value(e.key) AS key")
    ended = f"HAVING min(e.time) < {instant(experiment.end)}" if experiment.end else ""
    listed = ", ".join([*own, *extra, *sums])
    connection.execute(f"CREATE TABLE base AS SELECT {listed} FROM {joined} GROUP BY e.unit {ended}")


def _by_key(connection: duckdb.DuckDBPyConnection, source: Source, index: int, experiment: Experiment) -> str:
    """The sums of a source by key within each unit's window."""
    sums = "".join(f", sum(s.{named(column)}) AS {named(column)}" for column in source.columns)
    connection.execute(
        f"CREATE TABLE k{index} AS SELECT b.unit, count(*)::DOUBLE AS n{sums} FROM {source.table} s "
        f"JOIN base b ON b.unit = s.joined_by WHERE s.happened >= b.first "
        f"AND s.happened < b.first + {span(experiment.window)} GROUP BY b.unit"
    )
    return f"LEFT JOIN k{index} ON k{index}.unit = b.unit"


def _past(
    connection: duckdb.DuckDBPyConnection,
    experiment: Experiment,
    columns: Columns,
    sources: list[Source],
    parts: list[list[Value]],
) -> str:
    """The same sums of the units before the experiment, for CUPED."""
    start = experiment.start - experiment.before
    _exposed(connection, experiment, columns, period=(start, experiment.start), table=_PAST, everybody=True)
    sums, joined = _sums(
        connection, experiment, parts, _joined(connection, sources, _PAST, instant(experiment.start)), "1"
    )
    connection.execute(f"CREATE TABLE pastrows AS SELECT {', '.join(['e.unit', *sums])} FROM {joined} GROUP BY e.unit")
    found = "LEFT JOIN pastrows r ON r.unit = b.unit"
    for index, source in enumerate(sources):
        if source.is_by_key:
            sums_ = "".join(f", sum(s.{named(column)}) AS {named(column)}" for column in source.columns)
            connection.execute(
                f"CREATE TABLE p{index} AS SELECT joined_by AS unit, count(*)::DOUBLE AS n{sums_} "
                f"FROM {source.table} s "
                f"WHERE happened >= {instant(start)} AND happened < {instant(experiment.start)} GROUP BY joined_by"
            )
            found += f" LEFT JOIN p{index} ON p{index}.unit = b.unit"
    return found


def _finish(
    connection: duckdb.DuckDBPyConnection,
    experiment: Experiment,
    parts: list[list[Value]],
    joins: list[str],
    until: datetime,
) -> None:
    """The table `units`: the columns v<metric>_<side>, of the past p<metric>_<side>, and whether the window is over."""
    found = []
    for index, (metric, values) in enumerate(zip(experiment.metrics, parts, strict=True)):
        for side, value in enumerate(values):
            here = f"b.v{index}_{side}" if value.source is None else f"k{value.source}.{value.sql}"
            found.append(f"{_shaped(here, value, metric.computed, len(values))} AS v{index}_{side}")
            if metric.covariate == BEFORE:
                then = f"r.v{index}_{side}" if value.source is None else f"p{value.source}.{value.sql}"
                found.append(f"{_shaped(then, value, metric.computed, len(values))} AS p{index}_{side}")
    kept = "b.* EXCLUDE (" + ", ".join(_summed(parts)) + ")" if _summed(parts) else "b.*"
    ready = f"b.first + {span(experiment.window)} <= {instant(until)}"
    connection.execute(
        f"CREATE TABLE units AS SELECT {kept}, {ready} AS ready, {', '.join(found)} FROM base b {' '.join(joins)}"
    )


def _summed(parts: list[list[Value]]) -> list[str]:
    return [
        f"v{index}_{side}"
        for index, values in enumerate(parts)
        for side, value in enumerate(values)
        if value.source is None
    ]


def _shaped(column: str, value: Value, computed: str, sides: int) -> str:
    """A unit's value: whether there was any, or the sum; without an outcome 0, or null if it is left out."""
    filled = f"coalesce({column}, 0)" if value.is_zero or sides > 1 else column
    return f"({filled} > 0)::DOUBLE" if computed == PROPORTION else filled


def _with_counts(units: Units) -> Units:
    connection, experiment = units.connection, units.experiment
    beyond = _limited(units) if experiment.method == FIXED else 0
    total, waiting, mixed, first, last = one(
        connection,
        f"SELECT count(*), count(*) FILTER (first + {span(experiment.window)} > {instant(units.until)}), "
        "count(*) FILTER (mixed), min(first), max(first) FROM units",
    )
    lost = {source.outcome.name: _lost(units, source) for source in units.sources}
    counts = replace(
        units.counts, units=total, waiting=waiting, mixed=mixed, beyond=beyond, lost=lost, first=first, last=last
    )
    return replace(units, counts=counts)


def _limited(units: Units) -> int:
    """Of a fixed size, only the first units are compared, so that every later look says the same."""
    planned = int(units.experiment.units)
    cut = units.connection.execute(
        f"SELECT first FROM units WHERE ready ORDER BY first LIMIT 1 OFFSET {planned - 1}"
    ).fetchall()
    if not cut:
        return 0
    before = one(units.connection, "SELECT count(*) FROM units WHERE ready")[0]
    units.connection.execute("UPDATE units SET ready = ready AND first <= $1", [cut[0][0]])
    return int(before - one(units.connection, "SELECT count(*) FROM units WHERE ready")[0])


def _lost(units: Units, source: Source) -> int:
    column = "unit" if source.is_by_key else "request"
    table = "base" if source.is_by_key else "exposed"
    during_it = f"happened >= {instant(units.experiment.start)} AND happened < {instant(units.until)}"
    return int(
        one(
            units.connection,
            f"SELECT count(*) FROM {source.table} s WHERE (happened IS NULL OR {during_it}) "
            f"AND NOT EXISTS (SELECT 1 FROM {table} t WHERE t.{column} = s.joined_by)",
        )[0]
    )
