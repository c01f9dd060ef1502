"""Renders a chain for the terminal: a summary of its origins, then the tree."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from components.execution.provenance import Record
from components.execution.records import data_name, siblings, sources
from taxiway.lineage.lookup import displayed
from taxiway.lineage.loop import why

if TYPE_CHECKING:
    from taxiway.lineage.chain import Chain

_DIGITS = 12
_UNKNOWN = {"source": "fetched; its history is at its origin"}
_LONG = 60  # maximum number of characters of a parameter's value
_UNLIMITED = 100_000


def show(chain: Chain, console: Console) -> None:
    """Prints the origins, then a tree from the target to its sources. Piped output is never wrapped."""
    whole = Group(Text(chain.target, style="bold"), _table(origins(chain)), Text(), *_trees(chain))
    if not console.is_terminal:
        console.width = _UNLIMITED
    console.print(whole)


def origins(chain: Chain) -> dict[str, list[str]]:
    """The data, the commit and the modules that the target comes from, as lines."""
    rows = {
        "alarm": [f"{each['event']}: {each['sentence']}" for each in chain.records if each.get("alarm")],
        "data": [_data(data) for data in chain.data],
        "commit": [_commit(code) for code in chain.code],
        "modules": [_module(module) for module in chain.modules],
        "rollback": [str(rollback) for rollback in chain.rollbacks],
        "why": [line for cycle in chain.cycles for line in why.lines(cycle)],
        "images": sorted({record["image"] for record in chain.records if record.get("image")}),
    }
    return {name: lines for name, lines in rows.items() if lines}


def _table(rows: dict[str, list[str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, lines in rows.items():
        table.add_row(Text(name, style="dim"), Text("\n".join(lines), overflow="fold"))
    return table


def _trees(chain: Chain) -> Iterable[Tree]:
    """The target's tree, then a tree for each record that is not part of it."""
    shown: list[Record] = []
    for record in chain.records:
        if record not in shown:
            yield _tree(record, chain.records, shown, "")


def _tree(record: Record, records: list[Record], shown: list[Record], port: str) -> Tree:
    tree = Tree(_headline(record, port), guide_style="dim")
    if record in shown:
        tree.label = Text.assemble(_headline(record, port), ("  see above", "dim"))
        return tree
    beside = siblings(record, records)
    shown += [record, *beside]
    for line in [*_details(record), *map(_beside, beside)]:
        tree.add(Text(line, style="dim", overflow="fold"))
    found = sources(record, records)
    for name, digest in record["inputs"].items():
        if name in found:
            tree.children.append(_tree(found[name], records, shown, name))
        else:
            tree.add(Text(f"{name}: {_short(digest)}  {_UNKNOWN.get(name, 'made outside the pipeline')}"))
    return tree


def _beside(record: Record) -> str:
    return f"other output {record['output']}: {record['type']} {_short(record['digest'])}"


def _headline(record: Record, port: str) -> Text:
    return Text.assemble(
        (f"{port}: " if port else ""),
        (record["type"], "bold"),
        f" {_short(record['digest'])}",
        (f"  {record['stage']}, {record.get('created', '')}", "dim"),
    )


def _details(record: Record) -> Iterable[str]:
    if record.get("pushed_destination"):
        yield f"pushed to {displayed(record['pushed_destination'])}{'' if record.get('judged') else ', not evaluated'}"
    if record.get("data"):
        yield _data(record["data"])
    code = record.get("code", {})
    for module in code.get("modules", {}).values():
        yield _module(module)
    for name, digest in code.get("files", {}).items():
        yield f"{name}: {_short(digest)}"
    if "deterministic" in record:
        yield _determinism(record)
    if record.get("verdict"):
        yield str(record["verdict"])
    # Empty or false values were not set by the user.
    given = {name: value for name, value in record.get("parameters", {}).items() if value}
    if given:
        yield ", ".join(f"{name}={_brief(value)}" for name, value in given.items())


def _determinism(record: Record) -> str:
    if not record["deterministic"]:
        return f"not deterministic: {record['not_deterministic']}"
    seed = f", seed {record['parameters']['seed']}" if "seed" in record["parameters"] else ""
    return f"made deterministically{seed}"


def _data(data: dict[str, Any]) -> str:
    """A data version on one line; see `components.versioning.data_versions` for its keys."""
    facts = [
        data.get("dvc_hash") and f"DVC {data['dvc_hash']} in {data.get('dvc_file')}",
        data.get("commit") and f"commit {data['commit'][:_DIGITS]}",
        data.get("repo"),
        data.get("window") and f"requests from {' to '.join(data['window'])}",
        None if data.get("versioned", True) else "not as versioned" if data.get("difference") else "not versioned",
    ]
    return ", ".join([data_name(data), *filter(None, facts)])


def _module(module: dict[str, str]) -> str:
    return f"{displayed(module['name'])}:{module['function']}  {_short(module['digest'])}"


def _commit(code: dict[str, Any]) -> str:
    return str(code["commit"]) + (" with uncommitted changes" if code.get("modified") else "")


def _short(digest: str) -> str:
    return digest[: len("sha256:") + _DIGITS]


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
