"""The HTML page at `/` with the models, their versions and sample requests."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from taxiway.serving.rest.sample_requests import Sample

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
}

_STYLE = """
:root { color-scheme: light dark; --line: #8883; --soft: #8881; --good: #1a7f4b; --bad: #c0392b; --wait: #a8650c; }
@media (prefers-color-scheme: dark) { :root { --good: #4cc38a; --bad: #ff7b6b; --wait: #e0a458; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 54rem; margin: 3rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 0 0 .75rem; overflow-wrap: anywhere; }
section { border: 1px solid var(--line); border-radius: .6rem; padding: 1.1rem 1.25rem; margin: 1.25rem 0; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .35rem 1rem .35rem 0; border-top: 1px solid var(--line); }
th { font-weight: 600; font-size: .85rem; opacity: .7; border-top: 0; }
.why td { border-top: 0; padding-top: 0; overflow-wrap: anywhere; font-size: .9rem; }
pre { background: var(--soft); border-radius: .4rem; padding: .7rem .9rem; margin: .9rem 0 0;
  white-space: pre-wrap; overflow-wrap: anywhere; font: .85rem/1.5 ui-monospace, monospace; }
.AVAILABLE { color: var(--good); font-weight: 600; }
.START, .LOADING, .UNLOADING { color: var(--wait); font-weight: 600; }
.failed { color: var(--bad); font-weight: 600; }
.label { background: var(--soft); border: 1px solid var(--line); border-radius: 1rem; padding: .05rem .6rem;
  font-size: .85rem; white-space: nowrap; }
footer, .about { opacity: .75; }
footer a { margin-right: 1rem; }
"""


@dataclass(frozen=True)
class Version:
    """A version of a model: TF Serving's name of its state, its error, and its labels."""

    number: int
    state: str
    message: str = ""
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class Model:
    """A model, its versions, and a sample request for each signature of the latest version."""

    name: str
    versions: Sequence[Version] = ()
    samples: Sequence[Sample] = ()


def _row(version: Version) -> str:
    labels = " ".join(f'<span class="label">{escape(label)}</span>' for label in version.labels)
    kind = "failed" if version.message else escape(version.state)
    row = f'<tr><td>{version.number}</td><td class="{kind}">{escape(version.state)}</td><td>{labels}</td></tr>'
    return row + (f'<tr class="why"><td colspan="3">{escape(version.message)}</td></tr>' if version.message else "")


def _table(versions: Sequence[Version]) -> str:
    if not versions:
        return "<p>No versions found yet.</p>"
    rows = "\n".join(map(_row, versions))
    return f"<table><tr><th>Version</th><th>State</th><th>Labels</th></tr>\n{rows}</table>"


def _curl(model: Model, origin: str) -> str:
    url = f"{origin}/v1/models/{quote(model.name, safe='')}"
    lines = [f"curl {shlex.quote(url)}"]
    for sample in model.samples:
        lines += [f"# the bytes are a tf.Example: {sample.note}"] * bool(sample.note) + [sample.command(url)]
    return escape("\n".join(lines))


def _section(model: Model, origin: str) -> str:
    return (
        f"<section><h2>{escape(model.name)}</h2>\n{_table(model.versions)}\n<pre>{_curl(model, origin)}</pre></section>"
    )


def page(models: Sequence[Model], origin: str, metrics: str) -> str:
    """The HTML page. Names are escaped, and it loads no resources.

    Args:
        models: The models.
        origin: `http://host:port`, for the curl commands.
        metrics: The path of the metrics; "" for none.
    """
    link = f'<a href="{escape(metrics)}">Metrics</a>\n' if metrics else ""
    sections = "\n".join(_section(model, origin) for model in models) or "<p>No models.</p>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Model server</title><style>{_STYLE}</style></head>
<body><h1>Model server</h1>
<p class="about">The models of this server, which implements TF Serving's REST API.</p>
{sections}
<footer><a href="/openapi.json">OpenAPI document</a>
{link}<a href="/readyz">Readiness</a></footer></body></html>
"""
