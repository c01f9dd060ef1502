from __future__ import annotations

import io

from rich.console import Console

from components.execution.provenance import code_commit
from taxiway.lineage.chain import Chain, trace
from taxiway.lineage.lookup import displayed
from taxiway.lineage.tree import show


def shown(chain: Chain, *, is_terminal: bool = False, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=is_terminal, color_system=None)
    show(chain, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_tree_of_a_pushed_model_goes_from_version_to_data(flow, tmp_path):
    target = str(tmp_path / "served" / "7")
    text = shown(trace(target))
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
    assert "curated: sha256:eeeeeeeeeeee  made outside the pipeline" in shown(chain)


def test_the_tree_shows_whether_training_was_deterministic(flow):
    chain = trace(str(flow.artifact("model").path))
    chain.records[0]["deterministic"] = 1
    assert "made deterministically" in shown(chain)
    chain.records[0] |= {"deterministic": 0, "not_deterministic": "deterministic is off"}
    assert "not deterministic: deterministic is off" in shown(chain)


def test_only_a_terminal_wraps_lines(flow):
    chain = trace(str(flow.artifact("model").path))
    chain.records[0]["parameters"] = {f"parameter_{number}": "x" * 40 for number in range(9)}
    (line,) = (line for line in shown(chain).splitlines() if "parameter_0" in line)
    assert "parameter_8" in line
    assert max(map(len, shown(chain, is_terminal=True).splitlines())) <= 80
