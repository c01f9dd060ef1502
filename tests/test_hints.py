"""All commands that messages in the sources suggest can be run."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.contract import commands
from components.contract.commands import typed
from tests.commands import known_options, refusal

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for room in ("components", "taxiway", "docker") for path in (ROOT / room).rglob("*.py"))
# Strings that mention commands without being meant for typing.
TOLD = {
    "X: its own local runner has the vulnerability X; `taxiway run` does not use it",
    "Write custom resources for `kubectl apply`.",
    "kubectl context",
}


def _calls(name: str) -> Iterator[tuple[str, list[str]]]:
    """The calls of a function in all sources: the place and the words, with `X` for values."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                for words in itertools.product(*map(_words, node.args)):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", list(words)


def _words(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return _words(node.body) + _words(node.orelse)
    return [node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "X"]


def _strings() -> Iterator[tuple[str, str]]:
    """The strings in all sources except docstrings, with their places and `X` for values."""
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = _text(node) if id(node) not in docs else ""
            if text and (isinstance(node, ast.JoinedStr) or id(node) not in inner):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text  # type: ignore[attr-defined]


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or "X" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


TYPED = [*((place, " ".join(words)) for place, words in _calls("typed"))]
ABOUT = [(place, " ".join(words)) for place, words in _calls("about")]
# Programs that are neither in the environment nor in the checkout, written out in messages.
WRITTEN = [
    (place, match[0].rstrip(" .,;"))
    for place, text in _strings()
    for match in re.finditer(r"\b(kubectl|git|systemctl|sudo systemctl) -{0,2}[a-z][^`;,()#>]*", text)
    if text not in TOLD
]


def test_commands_in_the_sources_are_found() -> None:
    assert len(TYPED) > 25
    assert len(ABOUT) > 8
    assert {"git fetch --tags", "kubectl get nodes"} <= {line for _, line in WRITTEN}


@pytest.mark.parametrize(("place", "line"), TYPED + ABOUT + WRITTEN, ids=lambda value: str(value)[-60:])
def test_every_suggested_command_exists(place: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *words = shlex.split(line)
    monkeypatch.chdir(ROOT)
    if program == "taxiway":
        assert refusal(line) == ""
    elif program == "dvc":
        _is_dvc(words)
    elif program == "make":
        assert re.search(rf"^{words[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "docker/engine":
        assert re.search(rf"^.*\b{words[0]}\b.*\) ", (ROOT / program).read_text(), re.MULTILINE)
    elif program in ("git", "kubectl"):
        _has_options(program, words)
    else:
        assert program in {"X", "cp", "mv", "python", "rm", "sudo", "systemctl"}


def _is_dvc(words: list[str]) -> None:
    from dvc.cli.parser import get_main_parser

    # A command and no folder: DVC's parser changes to that.
    get_main_parser().parse_args(words[2:] if words[0] == "--cd" else words)


def _has_options(program: str, words: list[str]) -> None:
    """Whether a program's help contains a command and its options."""
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    verb = [word for word in words if re.fullmatch("[a-z][a-z-]+", word) and word not in ("kubeflow", "isolated")]
    command = [program, *verb[: 2 if verb[0] in ("create", "config", "auth", "set") else 1], "-h"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    known = shown.stdout + shown.stderr
    if program == "kubectl":
        known += subprocess.run([program, "options"], capture_output=True, text=True, check=False).stdout
    assert "usage" in known.lower(), f"{command}: {known}"
    options = {word.partition("=")[0] for word in words if re.match("--[a-z]|-[a-z]$", word)} - {"-C"}
    flags = re.findall(r"(?<![\w-])--?(?:\[no-\])?[a-z][a-z-]*", known)
    assert {option for option in options if option not in {flag.replace("[no-]", "") for flag in flags}} == set()


def test_programs_are_named_so_that_they_can_be_typed() -> None:
    """Messages use `typed`, because `dvc` alone is not on the user's PATH."""
    targets = "|".join(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    groups = "|".join(known_options())
    bare = re.compile(rf"\b(taxiway ({groups})|dvc (add|init|pull|checkout|fetch|remote|status|commit|import)\b)")
    make = re.compile(rf"\bmake ({targets})\b|\bdocker/engine \w+")
    inside = {line for _, line in TYPED}
    found = [
        (place, text)
        for place, text in _strings()
        if text not in TOLD and text not in inside and (bare.search(text) or make.search(text))
    ]
    left = [each for each in found if not any(line.startswith(each[1]) for line in inside)]
    assert left == [], left


def test_every_option_that_a_message_names_exists() -> None:
    known = set().union(*known_options().values())
    others = re.compile(r"\b(kubectl|git|dvc|sudo|systemctl|python|pip|npm)\b")
    named = [
        (place, option)
        for place, text in _fixes()
        if not others.search(text)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)
    ]
    assert len(named) > 20
    assert [(place, option) for place, option in named if option not in known] == []


def _fixes() -> Iterator[tuple[str, str]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "fix":
                for part in ast.walk(node.value):
                    if text := _text(part):
                        yield f"{path.relative_to(ROOT)}:{node.value.lineno}", text


# How a command is typed


@pytest.mark.parametrize(
    ("called", "line", "expected"),
    [
        ("", "dvc add", "dvc add 'a b'"),
        ("taxiway", "dvc add", "dvc add 'a b'"),
        ("bin/taxiway", "dvc add", "bin/dvc add 'a b'"),
        (f"{ROOT}/bin/taxiway", "dvc add", f"{ROOT}/bin/dvc add 'a b'"),
        ("link/t", "dvc add", f"{ROOT}/bin/dvc add 'a b'"),
        ("link/t", "taxiway check", "link/t check 'a b'"),
        ("bin/taxiway", "mv", "mv 'a b'"),
    ],
)
def test_a_program_is_beside_the_command_that_was_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, called: str, line: str, expected: str
) -> None:
    (tmp_path / "link").mkdir()
    (tmp_path / "link/t").symlink_to(ROOT / "bin/taxiway")
    (tmp_path / "bin").symlink_to(ROOT / "bin")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAXIWAY_COMMAND", called)
    assert typed(line, "a b") == expected


def test_the_checkout_s_own_commands_work_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert typed("make data") == f"make -C {ROOT} data"
    assert typed("docker/engine start") == f"{ROOT}/docker/engine start"
    monkeypatch.chdir(ROOT)
    assert (typed("make data"), typed("docker/engine start")) == ("make data", "docker/engine start")
    # An image has no checkout.
    monkeypatch.setattr(commands, "checkout", lambda: tmp_path)
    assert typed("make images") == "make images"


def test_dvc_of_the_environment_runs_from_any_folder(tmp_path: Path) -> None:
    result = subprocess.run([ROOT / "bin/dvc", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert re.match(r"3\.\d+", result.stdout)
