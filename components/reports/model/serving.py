"""The sections on serving: how a server answered with the candidate, and where the model was pushed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from components.contract.artifacts import Artifact
from components.execution.pushed_models import STAMPED_MODEL, WARMUP_FILE
from components.reports.figures import counted, duration, number, short_digest
from components.reports.markup import Content
from components.reports.model.sentences import listed
from components.reports.page import Section
from components.reports.parts import badge, block, code, facts, fold, notice, stack
from components.reports.readers import records
from components.reports.readers.trying import Unreadable, tried
from components.reports.tables import Column, table

_STEPS = {
    "start": "its server did not start",
    "load": "it did not load",
    "request": "the server refused a request",
    "answer": "an answer was wrong",
    "latency": "it answered too slowly",
}


def validation_section(
    blessing: Artifact, *, id_: str = "infra-validation", title: str = "Trial in a server"
) -> Section:
    """What a server was asked with the candidate, and how it answered.

    Args:
        blessing: An InfraBlessing.
        id_: The section's anchor.
        title: Its heading.
    """
    report = tried("The verdict’s reasons", lambda: _report(blessing))
    blessed = is_blessed(blessing)
    record = records.own(blessing)
    body = stack(
        notice(report.sentence, "warn") if isinstance(report, Unreadable) else None,
        facts(_trial_facts(blessing, blessed, record)),
        None if isinstance(report, Unreadable) else _failure(report),
        _latencies(blessing, record),
    )
    return Section(id_, title, body, _trial_summary(blessing, blessed, report))


def is_blessed(blessing: Artifact) -> bool | None:
    """Whether the candidate passed; None if nothing says so."""
    marks = [(blessing.path / name).exists() for name in ("INFRA_BLESSED", "INFRA_NOT_BLESSED")]
    said = records.figure(blessing, "blessed")
    if not any(marks) and said is None:
        return None
    return (marks[0] if said is None else said == 1) and not marks[1]


def _report(blessing: Artifact) -> dict[str, Any]:
    """The content of `report.json`; empty for a blessing of TFX, which has none."""
    file = blessing.path / "report.json"
    if not file.exists() and is_blessed(blessing) is not None and not records.own(blessing):
        return {}
    report = json.loads(file.read_text("utf-8"))
    if not isinstance(report, dict):
        raise ValueError(f"{file} is damaged: it holds no object")
    return report


def _trial_summary(blessing: Artifact, blessed: bool | None, report: Any) -> str:
    if blessed is None:
        return "Whether a server can serve the model is not known."
    if not blessed:
        step = "" if isinstance(report, Unreadable) else str(report.get("step", ""))
        return f"The candidate failed: {_STEPS.get(step, step or 'the reason is not known')}."
    loading = records.figure(blessing, "loading_seconds")
    loaded = f"loaded in {duration(loading)}" if loading else "loaded"
    latency = _latency(blessing)
    if not latency:
        return f"The candidate {loaded}; it was sent no requests."
    slowest = max(found.get("p99_ms", 0) for found in latency.values())
    asked = counted(int(sum(found.get("requests", 0) for found in latency.values())), "request")
    return f"The candidate {loaded} and answered {asked} well, 99 % of them within {number(slowest)} ms."


def _latency(blessing: Artifact) -> dict[str, dict[str, float]]:
    """The measurements by signature; Kubeflow passes them as a JSON string."""
    found = tried("The latencies", lambda: _parsed_latency(blessing.metadata.get("latency") or {}))
    return {} if isinstance(found, Unreadable) else found


def _parsed_latency(latency: Any) -> dict[str, dict[str, float]]:
    by_signature = json.loads(latency) if isinstance(latency, str) else latency
    names = ("requests", "p50_ms", "p99_ms")
    return {str(name): {key: float(each[key]) for key in names if key in each} for name, each in by_signature.items()}


def _trial_facts(
    blessing: Artifact, blessed: bool | None, record: Mapping[str, Any]
) -> Iterator[tuple[Content, Content]]:
    verdicts = {True: badge("passed", "good"), False: badge("failed", "bad"), None: badge("not known")}
    yield "Verdict", verdicts[blessed]
    parameters = record.get("parameters", {})
    if serving := parameters.get("serving"):
        yield "Server", _server(serving)
    if (tries := records.figure(blessing, "tries")) is not None:
        yield "Tries", number(tries)
    if isinstance(count := parameters.get("num_examples"), int | float):
        splits = listed(list(map(str, parameters.get("splits") or [])))
        yield (
            "Asked with",
            f"{counted(int(count), 'row')}{f' of {splits}' if splits else ''}, one at a time and all at once",
        )
    if limit := parameters.get("max_latency_ms"):
        yield "Limit of the latency", f"{number(limit)} ms"
    if (warm_up := _warm_up(blessing)) is not None:
        yield "Warm-up requests in the model", number(warm_up)


def _server(serving: Any) -> Content:
    kind = next(iter(serving), "") if isinstance(serving, dict) else ""
    image = serving[kind].get("image") if kind and isinstance(serving[kind], dict) else None
    words = {"local": "Taxiway’s model server", "docker": "a container", "kubernetes": "a pod"}.get(kind, kind)
    return stack(words, code(image)) if image else words


def _warm_up(blessing: Artifact) -> int | None:
    from components.data import tfrecord

    file = blessing.path / STAMPED_MODEL / WARMUP_FILE
    count = tried("", lambda: sum(1 for _ in tfrecord.read_records(file))) if file.exists() else None
    return count if isinstance(count, int) else None


def _failure(report: Mapping[str, Any]) -> Content:
    if not report.get("message"):
        return None
    log = "\n".join(map(str, report.get("log") or []))
    end = fold("The end of the server’s output", block(log)) if log else None
    return stack(notice(str(report["message"]), "bad", f"Failed at the step “{report.get('step', '')}”."), end)


def _latencies(blessing: Artifact, record: Mapping[str, Any]) -> Content:
    latency = _latency(blessing)
    if not latency:
        return None
    columns = [
        Column("signature"),
        Column("requests", is_number=True, hint="With one example each; the one with all examples is not timed."),
        Column("median (ms)", is_number=True),
        Column("99th percentile (ms)", is_number=True),
    ]
    rows = [
        [name, *(found.get(key) for key in ("requests", "p50_ms", "p99_ms"))] for name, found in sorted(latency.items())
    ]
    return table("Latency of requests with one example", columns, rows, is_searchable=False)


def push_section(pushed_model: Artifact, *, has_labels: bool = True, id_: str = "push", title: str = "Push") -> Section:
    """Where a model was pushed, and what vouches for it.

    Args:
        pushed_model: A PushedModel.
        has_labels: Whether the version may have labels by now.
        id_: The section's anchor.
        title: Its heading.
    """
    record = records.own(pushed_model)
    if not _is_pushed(pushed_model):
        words = "The model was not pushed, because it was not blessed; servers keep what they serve."
        return Section(id_, title, notice(words, "warn"), "Nothing was pushed.")
    destination = pushed_model.metadata.get("pushed_destination") or "a destination that is not recorded"
    body = stack(facts(_push_facts(pushed_model, record, has_labels)), _warning(pushed_model))
    return Section(id_, title, body, f"The model was pushed to {destination}.")


def _is_pushed(pushed_model: Artifact) -> bool:
    said = records.figure(pushed_model, "pushed")
    return any(pushed_model.path.glob("**/saved_model.pb")) if said is None else said == 1


def _push_facts(
    pushed_model: Artifact, record: Mapping[str, Any], has_labels: bool
) -> Iterator[tuple[Content, Content]]:
    metadata = pushed_model.metadata
    yield "Destination", code(metadata.get("pushed_destination", "–"))
    yield "Version", metadata.get("pushed_version", "–")
    if digest := metadata.get("pushed_digest") or record.get("digest"):
        yield "Digest", code(short_digest(str(digest)))
    for key, name in (("judged", "Evaluated before"), ("infra_validated", "Tried in a server before")):
        if (said := records.figure(pushed_model, key)) is not None:
            yield name, badge("yes", "good") if said else badge("no", "warn")
    if record.get("created"):
        yield "Pushed at", record["created"]
    if has_labels and (labels := tried("The labels", lambda: _labels(pushed_model))):
        yield "Labels now", labels.sentence if isinstance(labels, Unreadable) else listed(labels)


def _labels(pushed_model: Artifact) -> list[str]:
    # gRPC's stubs take a while to import.
    from components.reports.readers import labels

    return labels.of_version(pushed_model)


def _warning(pushed_model: Artifact) -> Content:
    if records.figure(pushed_model, "judged") == 0:
        return notice("No evaluator judged the model before it was pushed.", "warn")
    return None
