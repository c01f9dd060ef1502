"""The labels of a rollout in a models.config with comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.contract.errors import UserError
from taxiway.delivery.labels import FileLabels, versions_at
from taxiway.delivery.rollout import begun
from taxiway.versions import labels
from tests.taxiway.delivery.test_advance import START

CONFIG = """# The models of this server.
model_config_list {
  config {
    name: "other"  # also at 1
    base_path: "/models/other"
    version_labels { key: "stable" value: 1 }
  }
  config {
    name: "taxi"
    base_path: "%s"
    model_version_policy { latest { num_versions: 2 } }  # the champion and the challenger
    version_labels { key: 'stable'  # what clients ask for
                     value: 1 }
  }
}
"""
ROLLOUT = begun("taxi", 1, 2, START)


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """Two versions, and a models.config beside them."""
    folder = tmp_path / "taxi"
    for version in (1, 2):
        (folder / str(version)).mkdir(parents=True)
        (folder / str(version) / "saved_model.pb").write_bytes(b"")
    (tmp_path / "models.config").write_text(CONFIG % folder)
    return folder


def test_the_challenger_is_labelled_promoted_and_the_label_goes(served: Path) -> None:
    file, ours = served.parent / "models.config", FileLabels(str(served))
    before = file.read_text()
    assert versions_at(str(served)) == (1, 2)
    for _ in range(2):  # each step may be repeated
        ours.begin(ROLLOUT)
    added = ' version_labels { key: "canary" value: 2 }'
    assert file.read_text().replace(added, "") == before
    ours.promote(ROLLOUT)
    ours.promote(ROLLOUT)
    ours.clear(ROLLOUT)
    ours.clear(ROLLOUT)
    assert file.read_text() == before.replace("value: 1 }\n  }\n}", "value: 2 }\n  }\n}")


def test_another_rollouts_label_stays(served: Path) -> None:
    FileLabels(str(served)).begin(ROLLOUT)
    file = served.parent / "models.config"
    file.write_text(file.read_text().replace('"canary" value: 2', '"canary" value: 1'))
    FileLabels(str(served)).clear(ROLLOUT)
    assert "canary" in file.read_text()


def test_what_cannot_be_labelled_is_refused(served: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="labels 1 stable, not the champion 7"):
        FileLabels(str(served)).begin(begun("taxi", 7, 2, START))
    with pytest.raises(UserError, match="does not load version 3 of 'taxi'") as refused:
        FileLabels(str(served)).begin(begun("taxi", 1, 3, START))
    assert "latest { num_versions: 2 }" in refused.value.fix
    (served.parent / "models.config").unlink()
    with pytest.raises(UserError, match=r"no models\.config lists the model at") as missing:
        FileLabels(str(served)).begin(ROLLOUT)
    assert "delivery.config" in missing.value.fix


def test_labels_in_other_forms_are_removed(served: Path) -> None:
    file = served.parent / "models.config"
    for form in ("version_labels: < key: 'canary', value: 2 >", "version_labels { key: 'canary' value: 2 },"):
        text = (CONFIG % served).replace(
            "    version_labels { key: 'stable'", f"    {form}\n    version_labels {{ key: 'stable'"
        )
        file.write_text(text)
        FileLabels(str(served)).clear(ROLLOUT)
        from components.execution.pushed_models import open_destination

        model = labels.load(file, open_destination(str(served)))
        assert model and model.labels == {"stable": 1}
