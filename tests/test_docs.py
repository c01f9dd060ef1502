"""The documentation is correct: commands run and print what it shows, and links work."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import signal
import subprocess
import time
import xml.etree.ElementTree
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
import typer.main

from components.execution import stages
from taxiway import cli
from tests import scripts
from tests.commands import refusal
from tests.pipelines.project import Project, make_project

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES_TO_TYPE = [
    "docs/start/quickstart.md",
    "docs/start/own-csv.md",
    "docs/pipelines/authoring.md",
    "docs/start/from-tfx.md",
]
"""The pages that a new user follows after the README, in this order."""
PAGES_TO_SERVE = ["README.md", "docs/serving/server.md"]
"""The client on the second page calls the server that the first page starts."""

NOT_RUN = {
    "bin/inside tensorboard --logdir .taxiway/artifacts/chicago-taxi/trainer": "it serves until it is stopped",
}
"""The commands of `sh` blocks, and why; those of `console` blocks all run."""
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


# Links, pictures, pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!\w+:)(?P<file>[^)#]*)[^)]*\)", FENCE.sub("", page.read_text()))
    missing = [link for link in links if link and not (page.parent / link).exists()]
    assert missing == []


def test_pictures_are_well_formed_and_shown() -> None:
    pictures = list((ROOT / "docs/concepts/pictures").glob("*.svg"))
    assert len(pictures) == 2
    pages = "".join(page.read_text() for page in (ROOT / "docs/concepts").glob("*.md"))
    for picture in pictures:
        xml.etree.ElementTree.parse(picture)
        assert f"(pictures/{picture.name})" in pages


def test_the_picture_of_the_architecture_has_every_package() -> None:
    picture = (ROOT / "docs/concepts/pictures/house.svg").read_text()
    rooms = [path.parent.name for path in (ROOT / "taxiway").glob("*/__init__.py")]
    assert [name for name in rooms if not re.search(rf"\b{name}\b", picture)] == []


def test_every_folder_and_file_that_the_architecture_names_exists() -> None:
    named = re.findall(r"`((?:components|docs|pipelines|taxiway|tests)/[\w./]*)`", _page("concepts/architecture.md"))
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_index_lists_every_page() -> None:
    generated = {path for path in (ROOT / "docs/reference/stages").iterdir() if path.name != "README.md"}
    listed = {ROOT / "docs" / link for link in re.findall(r"\]\(([\w/-]+\.md)\)", _page("README.md"))}
    assert {*(ROOT / "docs").rglob("*.md")} - generated - listed == {ROOT / "docs/README.md"}


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def test_the_stages_pages_equal_their_docstrings() -> None:
    pages = _stage_pages()
    written = {path.name: path.read_text() for path in (ROOT / "docs/reference/stages").iterdir()}
    expected = {"README.md": pages.index()} | {f"{stage}.md": pages.page(stage) for stage in stages.names()}
    assert written == expected, "run `make docs-pages` and look at the difference"


def _component_names() -> set[str]:
    """The stages by the names that pipelines import."""
    return {stage.component for stage in stages.in_order()}


def test_the_authoring_page_lists_every_stage() -> None:
    section = (ROOT / "docs/pipelines/authoring.md").read_text().partition("## Stages")[2].partition("##")[0]
    [listed] = re.findall(r"\((\.\./reference/stages/\S+\.md)\)", section)
    assert _component_names() <= set(re.findall(r"`(\w+)`", (ROOT / "docs/pipelines" / listed).read_text()))


def test_every_component_of_tfx_is_documented_as_supported_or_not() -> None:
    spec = importlib.util.find_spec("tfx")
    assert spec and spec.origin
    public = (Path(spec.origin).parent / "v1/components/__init__.py").read_text()
    theirs = set(re.findall(r"import (\w+)$", public, re.MULTILINE)) - {"DataAccessor", "FnArgs", "TunerFnResult"}
    assert len(theirs) > 12
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", (ROOT / "docs/start/from-tfx.md").read_text(), re.MULTILINE)
    existing, missing = (
        {name for left, right in rows if ("not supported" in right) is absent for name in re.findall(r"`(\w+)", left)}
        for absent in (False, True)
    )
    assert theirs <= existing | missing
    assert not missing & (existing | _component_names())


def _stage_pages() -> ModuleType:
    return scripts.load(ROOT / "docs/reference/stage_pages.py")


# Commands, options, settings, make targets


def test_the_readme_lists_every_command() -> None:
    group: Any = typer.main.get_command(cli.app)
    listed = re.findall(r"^\| `(\w+)[ A-Z]*` \|", _readme().partition("## Commands")[2], re.MULTILINE)
    assert sorted(listed) == sorted(group.commands)


def test_the_page_of_commands_equals_their_help() -> None:
    written = (ROOT / "docs/reference/cli.md").read_text()
    assert written == scripts.load(ROOT / "docs/reference/cli_page.py").page(), (
        "run `make docs-pages` and look at the difference"
    )
    # One of each kind: an argument, a choice, an on/off switch, a default.
    for row in (
        "| `DESTINATION` | Where models are pushed: a folder, or an s3:// or gs:// URL. | required |",
        r"| `--runner local\|docker` | ",
        "| `--verify`, `--no-verify` | ",
        "| `--rest-port INT` | REST port; 0 picks a free one. | `8501` |",
    ):
        assert f"\n{row}" in written


def test_every_documented_command_exists() -> None:
    """Includes commands that are not run: the commands and their options exist."""
    pages = [*PAGES, *(ROOT / "manifests").rglob("*.md")]
    shown = [(page, line) for page in pages for line in _command_lines(page.read_text())]
    assert len(shown) > 30
    assert [f"{page.name}: {line}: {why}" for page, line in shown if (why := refusal(line))] == []


def _command_lines(text: str) -> list[str]:
    """The `taxiway` commands in the blocks of a page."""
    blocks = [match["text"] for match in FENCE.finditer(text)]
    lines = [line for block in blocks for line in re.sub(r" *\\\n *", " ", block).splitlines()]
    found = (re.match(r"(?:\$ )?((?:bin/)?taxiway [^#]*)", line.strip()) for line in lines)
    return [match[1].partition("&&")[0].rstrip(" &") for match in found if match]


def test_every_environment_variable_is_documented() -> None:
    sources = [
        path
        for folder in ("components", "taxiway", "docker", "bin")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in (".py", "")
    ]
    used = {name for path in sources for name in re.findall(r"\bTAXIWAY_[A-Z_]+\b", path.read_text())}
    # Only used between our own scripts.
    assert used - {"TAXIWAY_SETUP", "TAXIWAY_INSIDE"} == set(
        re.findall(r"TAXIWAY_[A-Z_]+", (ROOT / "docs/concepts/overview.md").read_text())
    )


def test_the_readme_names_every_make_target() -> None:
    named = set(re.findall(r"`([a-z-]+)`", _readme().partition("## Working on Taxiway")[2].partition("##")[0]))
    assert named >= set(_make_targets()) - {"help"}


def _readme() -> str:
    return (ROOT / "README.md").read_text()


def _make_targets() -> dict[str, str]:
    """The recipes of the Makefile's documented targets."""
    matches = re.findall(r"^([a-z-]+):.*##.*\n((?:\t.*\n)*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return {name: recipe.replace("\t@", "").strip() for name, recipe in matches}


# Snippets


@dataclass(frozen=True)
class Snippet:
    """A fenced block: its place, language and text."""

    place: str
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command of a `console` block, and the lines that are shown below it."""

    place: str
    line: str
    shown: list[str]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("pages", [PAGES_TO_SERVE, PAGES_TO_TYPE], ids=["readme", "pages"])
def test_the_commands_in_the_documentation_print_what_it_shows(pages: list[str], project: Project) -> None:
    """Runs all snippets in one project: later ones use the cache and the server of earlier ones."""
    with ExitStack() as servers:
        for page in pages:
            for snippet in _snippets(page):
                _follow(project, snippet, servers)


@pytest.fixture
def project(tmp_path: Path, taxi_csv: Path) -> Project:
    """The checkout as a reader has it: pipelines, data, and the commands in bin/."""
    project = make_project(tmp_path, taxi_csv)
    (project.folder / "bin").symlink_to(ROOT / "bin")
    for component in (ROOT / "components").glob("*/component.yaml"):
        copy = project.folder / "components" / component.parent.name / component.name
        copy.parent.mkdir(parents=True)
        copy.write_bytes(component.read_bytes())
    return project


def _snippets(page: str) -> Iterator[Snippet]:
    text = (ROOT / page).read_text()
    for match in FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Snippet(f"{page}:{line}", match["language"], match["text"])


def _follow(project: Project, snippet: Snippet, servers: ExitStack) -> None:
    snippet = replace(snippet, text=_with_addresses(project, snippet.text))
    if snippet.language == "python":
        _python(project, snippet)
    elif snippet.language == "console":
        for command in _commands(snippet):
            _run_shown(project, command)
    elif snippet.language == "sh":
        for line in snippet.text.splitlines():
            command = _recipe(re.sub(r" +# .*", "", line))
            if command.startswith("bin/taxiway serve "):
                servers.enter_context(_serving(project, command))
            else:
                assert command in map(_recipe, NOT_RUN), f"{snippet.place}: {line}"
    else:
        # An abbreviated command that is not meant to be typed.
        assert snippet.language == "", f"{snippet.place}: {snippet.language} is not run"


@contextmanager
def _serving(project: Project, command: str) -> Iterator[None]:
    """Runs a server, on ports that are free, while the block does."""
    addresses = _addresses(project)
    line = [*shlex.split(command), "--port", "0", "--rest-port", "0", "--address-file", str(addresses)]
    with subprocess.Popen(line, cwd=project.folder, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            _wait_until_ready(addresses)
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            addresses.unlink(missing_ok=True)


def _wait_until_ready(addresses: Path) -> None:
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        if addresses.is_file():
            _, rest = addresses.read_text().split()
            if requests.get(f"http://{rest}/readyz", timeout=20).ok:
                return
        time.sleep(0.1)
    raise AssertionError("the server is not ready")


def _addresses(project: Project) -> Path:
    return project.folder / "addresses"


def _with_addresses(project: Project, text: str) -> str:
    """The text with the addresses of the running server instead of the usual ones."""
    if not _addresses(project).is_file():
        return text
    address, rest = _addresses(project).read_text().split()
    return text.replace("127.0.0.1:8500", address).replace("127.0.0.1:8501", rest)


def _python(project: Project, snippet: Snippet) -> None:
    """Code that begins with a path is that file; other code runs."""
    if file := re.match(r"# (?P<path>\S+\.py)\n", snippet.text):
        path = project.folder / file["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(snippet.text)
    else:
        status, shown = _run(project, ["bin/python", "-c", snippet.text])
        assert status == 0, f"{snippet.place}\n{_end(shown)}"


def _commands(snippet: Snippet) -> list[Command]:
    found: list[Command] = []
    for line in snippet.text.replace("\\\n", "").splitlines():
        if line.startswith("$ "):
            found.append(Command(snippet.place, line[2:], []))
        elif found[-1].line.count("'") % 2:
            found[-1] = Command(snippet.place, f"{found[-1].line}\n{line}", [])
        else:
            found[-1].shown.append(line)
    return found


def _run_shown(project: Project, command: Command) -> None:
    line = _with_latest_version(project, _recipe(command.line))
    status, shown = _curl(line) if line.startswith("curl ") else _run(project, ["bash", "-c", line])
    assert status == (2 if _shows_error(command) else 0), f"{command.place}: {line}\n{_end(shown)}"
    _assert_shown(command, shown)


def _curl(line: str) -> tuple[int, str]:
    """Does the same as `curl URL -d DATA`; the Debian root has no curl."""
    _, url, option, data = shlex.split(line)
    assert option == "-d"
    answer = requests.post(url, data=data, timeout=20)
    return (0 if answer.ok else 1), answer.text


def _recipe(line: str) -> str:
    """The commands that `make` runs after the setup; the Debian root has no `make`."""
    return _make_targets()[line.removeprefix("make ")] if line.startswith("make ") else line


def _run(project: Project, command: list[str]) -> tuple[int, str]:
    """Runs a command in the project with terminal output, wide enough for the durations of a slow machine."""
    own = {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "130"}
    environment = {name: value for name, value in project.variables().items() if name != "TAXIWAY_HOME"} | own
    result = subprocess.run(
        command,
        cwd=project.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return result.returncode, _as_read(result.stdout)


def _as_read(shown: str) -> str:
    """Terminal output as plain text; overwritten lines are kept above their replacements."""
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", re.sub(r"\x1b\[\d*[AK]|\r", "\n", shown)).splitlines()
    return "\n".join(filter(None, lines))


def _with_latest_version(project: Project, line: str) -> str:
    """The command with the latest pushed version, if it names a version."""
    if not re.search(r"served/chicago_taxi/\d+", line):
        return line
    versions = [path.name for path in (project.folder / "served/chicago_taxi").glob("[0-9]*")]
    return re.sub(r"(?<=served/chicago_taxi/)\d+", max(versions, key=int), line)


def _shows_error(command: Command) -> bool:
    return any(line.startswith("  fix: ") for line in command.shown)


def _assert_shown(command: Command, shown: str) -> None:
    """Each line of the documentation was printed, ignoring numbers, hashes and folders; `...` matches anything."""
    actual = [_comparable(line) for line in shown.splitlines()]
    for line in filter(None, map(_comparable, command.shown)):
        beginning = line.removesuffix("...")
        found = any(other == line or (beginning != line and other.startswith(beginning)) for other in actual)
        assert found, f"{command.place}: `{command.line}` does not show {line!r}\n{_end(shown)}"


def _end(shown: str) -> str:
    return "\n".join(shown.splitlines()[-40:])


def _comparable(line: str) -> str:
    line = re.sub(r"-\d{8}-\d{6}-[0-9a-f]{8}\b", "-RUN", line)
    line = re.sub(r"\b[0-9a-f]{8,}\b", "HEX", line)
    line = re.sub(r"(\d+ min )?\d+(\.\d+)? s\b", "TIME", line)
    line = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+\+00:00", "TIME", line)
    line = re.sub(r"/\S+/(taxiway|project)\b", "FOLDER", line)
    line = re.sub(r"\d+\.\d+", "NUMBER", line)
    return " ".join(line.split())
