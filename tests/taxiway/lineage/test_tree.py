from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from components.execution.provenance import code_commit
from taxiway.lineage.chain import trace
from taxiway.lineage.lookup import displayed
from taxiway.lineage.tree import render


def rendered(renderable: Any, width: int = 400) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_tree_of_a_pushed_model_goes_from_version_to_data(flow, tmp_path):
    target = str(tmp_path / "served" / "7")
    text = rendered(render(trace(target)))
    head, tree = text.split("\n\n", 1)
    assert head.startswith(target)
    assert "data/trips@v1, DVC 0f343b0931126a20f133d67c2b018a3b.dir in data.dvc, commit 0123456789ab" in head
    assert code_commit()["commit"] in head
    assert "model.py:run_fn  sha256:" in head
    lines = [line.lstrip(" │├└─") for line in tree.splitlines()]
    starts = [line.split(" sha256:")[0] for line in lines if " sha256:" in line and ":run_fn" not in line]
    assert starts[:4] == ["PushedModel", "model: Model", "other output model_run: ModelRun", "examples: Examples"]
    assert f"pushed to {displayed(target)}" in tree
    assert "train_steps=100" in tree
    assert "see above" in tree


def test_inputs_without_a_producer_are_marked(flow):
    chain = trace(str(flow.artifact("model").path))
    chain.records[0]["inputs"]["curated"] = "sha256:" + "e" * 64
    assert "curated: sha256:eeeeeeeeeeee  made outside the pipeline" in rendered(render(chain))


def test_the_tree_shows_whether_training_was_deterministic(flow):
    chain = trace(str(flow.artifact("model").path))
    chain.records[0]["deterministic"] = 1
    assert "made deterministically" in rendered(render(chain))
    chain.records[0] |= {"deterministic": 0, "not_deterministic": "deterministic is off"}
    assert "not deterministic: deterministic is off" in rendered(render(chain))
