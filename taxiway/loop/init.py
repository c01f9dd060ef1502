"""Writes a settings file with every setting explained."""

from __future__ import annotations

from components.contract.commands import typed


def text(model: str, pipeline: str) -> str:
    """The text of a settings file."""
    return _TEXT.format(
        model=model,
        pipeline=pipeline,
        check=typed("taxiway loop check"),
        dry=typed("taxiway loop run --dry-run"),
        run=typed("taxiway loop run"),
        approve=typed("taxiway loop approve"),
        trigger=typed("taxiway loop trigger"),
    )


_TEXT = """\
# The loop of {model}: retrains when something has changed, and delivers what is better.
#   {check}          checks this file
#   {dry}  says what would be done, and why not
#   {run}            runs it
# Every line may be left out, but model and pipeline; the values are the defaults, but where it says otherwise.
# docs/loop/triggers.md and docs/loop/settings.md explain each.

# The model, by the name that servers know it by.
model: {model}

# What is run: a folder in pipelines/, a Python file or a compiled YAML file. It trains, compares and pushes.
pipeline: {pipeline}

# `run` on this machine, or `submit` to Kubeflow.
action: run
# kubeflow: {{host: "http://127.0.0.1:8080"}}

# The pipeline's parameters. What begins with `trigger.` is filled from what has happened:
# window_start, window_end, champion, id, name, kind, reason and time always; others by trigger.
parameters:
  window_start: trigger.window_start
  window_end: trigger.window_end

# The folder or URL with the tables of all models; empty for .taxiway/monitoring.
tables: ""

# The length of the window of data to train on, for triggers that do not know since when something has changed.
window: 7d

# The zone of schedules and quiet hours, such as Europe/Vienna.
time_zone: UTC

# How long after the end of a cycle no other begins; each trigger may have its own.
cool_down: 1h

# The most cycles in 24 hours, whatever triggers them; null for any number. Each trigger may have its own as well.
budget_per_day: 4    # default: null

# When no cycle begins: '22:00-06:00', 'sat-sun', 'mon-fri 08:00-18:00'; each trigger may have its own.
quiet_hours: []

# Whether a person has to approve a version before it is rolled out: `{approve}`.
approval: false

# What starts a cycle. The default is nothing but `{trigger}`.
triggers:
  # An alarm of the monitor.
  - alarm: {{kinds: [drift, quality, unseen], columns: [], slices: true, again: ""}}
  # A metric that is too bad in several windows in a row; `above` instead of `below` for a loss.
  # - quality: {{metric: auc, below: 0.8, windows: 3, slice: "", basis: labels}}
  # New data: one of dvc, span, partition and path.
  # - data: {{dvc: data.dvc}}
  # So many labels since its last cycle.
  # - labels: {{new: 5000}}
  # A time, as in a crontab.
  # - schedule: "0 3 * * 1"
  #   name: weekly
  #   quiet_hours: []
  # A signed request of another program.
  # - webhook: {{secret: env:LOOP_SECRET, host: 127.0.0.1, port: 8600}}

# What is told of a cycle, and where: the same places as for alarms, see docs/monitoring/alarms.md.
tell: [promoted, nothing_pushed, rolled_back, failed, approval]
# alerts:
#   webhooks:
#     - {{url: env:SLACK_WEBHOOK, format: slack}}

# How a version is rolled out; left out, servers load it from where the pipeline pushes it. See docs/loop/delivery.md.
# delivery:
#   weights: {{route: "http://127.0.0.1:8602"}}
#   destination: served/{model}
#   steps: [{{weight: 10, least_time: 10m, least_requests: 1000}}, {{weight: 100}}]
"""
