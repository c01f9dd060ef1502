"""Errors in route.yaml and flags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.contract.errors import UserError
from taxiway.routing.settings import Flags, Settings, StickyKey, from_flags, load

GOOD: dict[str, Any] = {
    "backends": {"blue": {"grpc": "127.0.0.1:8500", "rest": "[::1]:8501"}},
    "models": {
        "taxi": {
            "targets": {
                "stable": {"backend": "blue", "label": "stable", "weight": 90},
                "canary": {"backend": "blue", "label": "canary", "weight": 10.0},
            },
            "sticky_key": "header:User-ID",
            "shadow": "canary",
        }
    },
}


def changed(place: str, value: Any) -> dict[str, Any]:
    """GOOD with another value at a path like `a/b/c`; None removes the key."""
    found: dict[str, Any] = yaml.safe_load(yaml.safe_dump(GOOD))
    *way, last = place.split("/")
    inner = found
    for key in way:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return found


def written(folder: Path, given: Any) -> Path:
    file = folder / "route.yaml"
    file.write_text(given if isinstance(given, str) else yaml.safe_dump(given))
    return file


def test_a_file_listens_on_loopback_by_default(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, GOOD))
    assert (loaded.host, loaded.port, loaded.rest_port, loaded.admin_port, loaded.tls) == (
        "127.0.0.1",
        8600,
        8601,
        8602,
        None,
    )
    model = loaded.models["taxi"]
    assert (model.main, model.weights, model.shadow) == ("stable", {"stable": 90, "canary": 10.0}, "canary")
    assert model.sticky_key == StickyKey("header", "user-id")


TAXI = "models/taxi"
STABLE = f"{TAXI}/targets/stable"
WRONG: list[tuple[Any, str]] = [
    ("backends: {", "{file} is not YAML"),
    ("", "{file} takes a map of settings, not None"),
    (changed("backend", {}), "{file} has no setting 'backend'\n  fix: did you mean 'backends'?"),
    (changed("models", None), "{file}.models is missing\n  fix: add models: ..."),
    (changed("models", {}), "{file}: models must be a map of names, not {{}}\n  fix: name at least one"),
    (changed("port", "x"), "{file}.port is 'x'\n  fix: write a value of type int"),
    (changed("port", True), "{file}.port is True"),
    (changed("rest_port", 70000), "{file}: rest_port is 70000\n  fix: use a port from 0 to 65535"),
    (changed("max_megabytes", 0), "{file}: max_megabytes is 0\n  fix: use 1 or more"),
    (changed("host", 1), "{file}.host is 1"),
    (changed("tls", {"cert": "none.pem"}), "{file}: tls: a certificate and its key go together"),
    (changed("tls", {"ca": "none.pem"}), "{file}: tls.cert is missing"),
    (changed("tls", {"cert": "none.pem", "key": "k"}), "{file}: tls: there is no file none.pem"),
    (changed("backends/blue/grpc", "localhost"), "{file}: backends.blue.grpc is 'localhost'\n  fix: write host:port"),
    (changed("backends/blue/grpc", "localhost:99999"), "{file}: backends.blue.grpc is 'localhost:99999'"),
    (changed("backends/blue/rest", 1), "{file}: backends.blue.rest is 1"),
    (changed("backends/blue/grpc", None), "{file}: backends.blue.grpc is missing"),
    (changed("backends/blue/tls", {"ca": "/"}), "{file}: backends.blue.tls: there is no file /"),
    (changed(f"{TAXI}/shadow", "dark"), "{file}: models.taxi.shadow is 'dark'\n  fix: name a target: canary, stable"),
    (changed(f"{TAXI}/sticky_key", "user"), "{file}: models.taxi.sticky_key is 'user'\n  fix: write header:NAME or"),
    (changed(f"{STABLE}/backend", "green"), "{file}: models.taxi.targets.stable.backend is 'green'"),
    (changed(f"{STABLE}/weight", -1), "{file}: models.taxi: the weight of 'stable' is -1"),
    (changed(f"{STABLE}/weight", "90"), "{file}: models.taxi.targets.stable.weight is '90'"),
    (changed(f"{STABLE}/wieght", 90), "{file}: models.taxi.targets.stable has no setting 'wieght'"),
    (changed(f"{TAXI}/targets", {"stable": {"backend": "blue"}}), "{file}: models.taxi.shadow is 'canary'"),
]


@pytest.mark.parametrize(("given", "text"), WRONG)
def test_an_invalid_setting_is_refused(tmp_path: Path, given: Any, text: str) -> None:
    file = written(tmp_path, given)
    with pytest.raises(UserError) as raised:
        load(file)
    assert str(raised.value).startswith(text.format(file=file))


def test_weights_that_are_all_zero_are_refused(tmp_path: Path) -> None:
    given = changed(f"{STABLE}/weight", 0)
    given["models"]["taxi"]["targets"]["canary"]["weight"] = 0
    with pytest.raises(UserError, match=r"models\.taxi: all weights are 0\n  fix: set the weight of a target"):
        load(written(tmp_path, given))


def test_an_invalid_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("no certificate")
    given = changed("tls", {"cert": str(tmp_path / "a.pem"), "key": str(tmp_path / "a.pem")})
    with pytest.raises(
        UserError, match=r"tls: .*a\.pem, .*a\.pem cannot be used: .*\n  fix: give PEM files that match"
    ):
        load(written(tmp_path, given))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.yaml cannot be read.*\n  fix: give a route.yaml with --config"):
        load(tmp_path / "none.yaml")


# Flags


def test_one_backend_is_split_by_label_and_several_by_backend() -> None:
    parsed = from_flags(
        Flags(
            model="taxi",
            backends=["h:1"],
            rest_backends=["h:2"],
            split="stable=90,canary=10",
            sticky_key="feature:Company",
            shadow="dark",
        )
    )
    targets = parsed.models["taxi"].targets
    assert {name: (target.label, target.weight) for name, target in targets.items()} == {
        "stable": ("stable", 90),
        "canary": ("canary", 10),
        "dark": ("dark", 0),
    }
    assert parsed.models["taxi"].sticky_key == StickyKey("feature", "Company")
    assert parsed.backends["default"].rest == "h:2"
    parsed = from_flags(Flags(model="taxi", backends=["blue=h:1", "green=h:2"], split="blue=1"), port=1, host="0.0.0.0")
    assert parsed.models["taxi"].targets["blue"].label == ""
    assert (parsed.port, parsed.host) == (1, "0.0.0.0")
    assert isinstance(parsed, Settings)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            Flags(model="", backends=["h:1"], split="a=1"),
            "there is nothing to route\n  fix: give --config, or --model, --backend",
        ),
        (Flags(model="m", backends=["h:1"], split="a=x"), "--split has 'a=x'\n  fix: write NAME=WEIGHT,NAME=WEIGHT"),
        (Flags(model="m", backends=["h"], split="a=1"), "--backend is 'h'\n  fix: write host:port"),
        (Flags(model="m", backends=["h:1", "h:2"], split="a=1"), "--backend names a backend twice"),
        (Flags(model="m", backends=["a=h:1", "b=h:2"], split="c=1"), "the flags: models.m.targets.c.backend is 'c'"),
        (Flags(model="m", backends=["h:1"], split="a=0"), "the flags: models.m: all weights are 0"),
        (
            Flags(model="m", backends=["h:1"], rest_backends=["x=h:2"], split="a=1"),
            "--rest-backend names 'x'\n  fix: there is --backend default",
        ),
    ],
)
def test_an_invalid_flag_is_refused(flags: Flags, text: str) -> None:
    with pytest.raises(UserError) as raised:
        from_flags(flags)
    assert str(raised.value).startswith(text)
