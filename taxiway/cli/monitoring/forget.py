"""`taxiway inference forget`."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.contract.errors import ServiceError, UserError
from taxiway.cli.monitoring.tables import Model, Tables, folder

if TYPE_CHECKING:
    from components.inference.privacy.privacy import Privacy
    from components.monitoring.forgetting.forget import Place, Result
    from components.monitoring.forgetting.keys import Key
    from components.monitoring.forgetting.pending import Pending, Request

_Texts = list[str]


def forget_command(
    model: Model,
    tables: Tables = "",
    key: Annotated[
        _Texts, typer.Option(metavar="COLUMN=VALUE", help="Forget this customer; repeatable, each is a customer.")
    ] = [],  # noqa: B006 (typer reads it)
    keys: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV file of customers: a header, then a row for each.")
    ] = None,
    older_than: Annotated[int | None, typer.Option(metavar="DAYS", help="Forget what is older, of everybody.")] = None,
    logs: Annotated[
        _Texts, typer.Option(metavar="PATH", help="Request logs: a file, a folder or a prefix; repeatable.")
    ] = [],  # noqa: B006 (typer reads it)
    spans: Annotated[
        _Texts, typer.Option(metavar="PATH", help="Spans of training data, Parquet or TFRecord; repeatable.")
    ] = [],  # noqa: B006 (typer reads it)
    privacy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings with a section `privacy:`, for its hash keys.")
    ] = None,
    reason: Annotated[str, typer.Option(help="The reason; recorded in the lineage.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the rows.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Delete a customer's rows, or old ones, from tables, logs and spans for good, and record it in the lineage."""
    from components.inference.privacy.privacy import Privacy, load
    from components.monitoring.forgetting import forget, pending
    from components.monitoring.forgetting.keys import require_findable

    rules = load(privacy) if privacy else Privacy.of()
    customers = _customers(key, keys)
    require_findable(customers, rules)
    request = _request(model, tables, customers, older_than, logs=logs, spans=spans, reason=reason)
    if dry_run:
        _show(forget.preview(request, rules.keys), json_output, "would be deleted")
        return
    if not yes:
        _confirm(forget.preview(request, rules.keys))
    with pending.alone(_state()):
        unfinished = pending.all_in(_state(), request.root)
        results = [_done(each, rules) for each in [*unfinished, pending.Pending(request, _state())]]
    _show([place for each in results for place in each.places], json_output, "deleted")
    for each in results:
        _tell_the_rest(each)


def _customers(texts: list[str], file: Path | None) -> list[Key]:
    from components.monitoring.forgetting import keys

    return [*keys.parse(texts), *(keys.read(file) if file else [])]


def _request(
    model: str, tables: str, customers: list[Key], days: int | None, *, logs: _Texts, spans: _Texts, reason: str
) -> Request:
    from components.monitoring.forgetting.pending import Request, new_id

    if not customers and days is None:
        raise UserError("there is nothing to forget", fix="give --key COLUMN=VALUE, --keys FILE or --older-than DAYS")
    if days is not None and days < 0:
        raise UserError(f"--older-than is {days}", fix="give a number of days of at least 0")
    now = datetime.now().astimezone()
    return Request(
        id=new_id(),
        model=model,
        root=folder(tables, model),
        keys=tuple(customers),
        before=None if days is None else now - timedelta(days=days),
        logs=tuple(logs),
        spans=tuple(spans),
        reason=reason,
        began=now.isoformat(),
    )


def _state() -> Path:
    from taxiway.storage.home import Home

    return Home.default().root / "forgetting"


def _done(pending: Pending, rules: Privacy) -> Result:
    """Forgets, with the request in the lineage from the start."""
    from components.monitoring.forgetting import forget
    from taxiway.lineage.monitoring import forgettings
    from taxiway.lineage.store import LineageStore
    from taxiway.storage.home import Home

    request, store = pending.request, LineageStore.open(Home.default().lineage)
    what = forget.what(pending, rules.keys)
    facts = {"model": request.model, "tables": request.root, "what": what, "reason": request.reason}
    began = datetime.fromisoformat(request.began)
    run = forgettings.start(store, request.id, {**facts, "time": began.isoformat(timespec="seconds")}, began)
    result = forget.forget(pending, rules.keys)
    if result.is_whole:
        before, after = (
            {_path(request, each): getattr(each, at) for each in result.places} for at in ("before", "after")
        )
        forgettings.finish(store, run, before, after)
    return result


def _path(request: Request, place: Place) -> str:
    return place.name if "/" in place.name else f"{request.root}/{place.name}"


def _confirm(places: list[Place]) -> None:
    if not sys.stdin.isatty():
        raise UserError("nothing was changed: there is no terminal to ask for confirmation", fix="give --yes")
    _show(places, False, "will be deleted for good")
    typer.confirm("Continue?", abort=True)


def _show(places: list[Place], json_output: bool, how: str) -> None:
    if json_output:
        found: list[dict[str, Any]] = [{"place": each.name, "rows": each.rows} for each in places]
        print(json.dumps(found, indent=1))
        return
    for each in places:
        print(f"{each.name}: {each.rows} rows {how}")
    if not places:
        print("nothing is there to forget")


def _tell_the_rest(result: Result) -> None:
    """Raises a ServiceError if something is left to do; the next run does it."""
    if result.open_files:
        what = f"a server still writes {', '.join(result.open_files)}, which was left as it is"
        raise ServiceError(what, fix="run it again when the server has begun the next file, or restart the server")
    if result.late:
        raise ServiceError(
            f"{result.late} rows arrived meanwhile", fix="run it again; stop the customer's requests first"
        )
