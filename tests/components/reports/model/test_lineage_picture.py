"""The lineage of a model as a picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from components.contract.artifacts import PushedModel
from components.execution import provenance
from components.reports.model import lineage_picture
from tests.components.models import make_history, pusher_input
from tests.components.reports.model.pages import HOSTILE, TURNED, cells, require_harmless, text


def record(digest: str, kind: str, stage: str, inputs: dict[str, str], **more: Any) -> dict[str, Any]:
    call = {"parameters": {}, "created": "2026-01-01T00:00:00+00:00", "code": {"commit": "ce13d6815914c51c"}}
    return {
        "digest": f"sha256:{digest}",
        "type": kind,
        "output": kind.lower(),
        "stage": stage,
        "inputs": inputs,
        **call,
        **more,
    }


def test_the_picture_of_a_pushed_model_has_all_its_ancestors(run_stage: Any, tmp_path: Path) -> None:
    model, judged = make_history(tmp_path / "history")
    parameters = pusher_input(model, str(tmp_path / "served"), tmp_path, 7, judged)["inputs"]["parameterValues"]
    pushed = run_stage("pusher", {"model": model, "blessing": judged}, parameters)["pushed_model"]

    section = lineage_picture.of_artifact(pushed)

    assert section.summary.startswith("The PushedModel was made from data/chicago_taxi@v1")
    picture = str(section.body)[: str(section.body).index("</svg>")]
    for kind in ("Examples", "ExampleStatistics", "Schema", "TransformGraph", "Model", "ModelBlessing", "PushedModel"):
        assert f">{kind}</text>" in picture
    assert pushed.metadata["digest"].removeprefix("sha256:")[:12] in picture
    assert "PushedModel from Model and ModelBlessing" in picture
    assert "Examples from data" in picture
    assert cells(section, "Schema")[1] == "schema_gen"


def test_edges_lead_from_inputs_to_outputs(tmp_path: Path) -> None:
    records = [
        record("c", "Model", "trainer", {"examples": "sha256:a", "schema": "sha256:b"}),
        record("b", "Schema", "schema_gen", {"statistics": "sha256:a"}),
        record("a", "Examples", "example_gen", {}, data={"path": "data", "dvc_hash": "30df3fd1676e.dir"}),
    ]

    body = str(lineage_picture.section(records).body)

    heights = {kind: float(y) for y, kind in re.findall(r'y="([\d.]+)" class="ink strong">(\w+)<', body)}
    assert heights["data"] < heights["Examples"] < heights["Schema"] < heights["Model"]
    assert body.count('class="edge"') == 4
    assert "30df3fd1676e" in body


def test_untrusted_names_are_escaped() -> None:
    data = {"path": HOSTILE, "revision": TURNED, "dvc_hash": HOSTILE}
    modules = {"module": {"name": HOSTILE, "function": TURNED, "digest": "sha256:1"}}
    hostile = record(
        "a", HOSTILE, TURNED, {HOSTILE: "sha256:none"}, data=data, code={"commit": HOSTILE, "modules": modules}
    )

    section = lineage_picture.section([hostile])

    require_harmless(section)
    assert HOSTILE in text(section)


def test_damaged_or_missing_records_are_reported_in_a_sentence(tmp_path: Path) -> None:
    assert lineage_picture.section([]).summary == "The lineage is not known."
    (tmp_path / "provenance.json").write_text('[{"digest": 1}')
    assert lineage_picture.of_artifact(PushedModel(tmp_path)).summary == "The lineage is not known."
    assert lineage_picture.section([{"digest": "a"}]).summary == "The lineage cannot be read."


def test_cyclic_records_do_not_loop_forever(tmp_path: Path) -> None:
    records = [
        record("a", "Model", "trainer", {"base_model": "sha256:b"}),
        record("b", "Model", "trainer", {"base_model": "sha256:a"}),
    ]
    provenance.write_chain(tmp_path, records)

    assert "<svg" in lineage_picture.of_artifact(PushedModel(tmp_path)).body


def test_many_artifacts_are_shown_as_a_table() -> None:
    records = [record(str(number), "Model", "trainer", {"base": f"sha256:{number + 1}"}) for number in range(70)]

    section = lineage_picture.section(records)

    assert "70 artifacts are too many to draw." in text(section)
    assert "<svg" not in section.body
