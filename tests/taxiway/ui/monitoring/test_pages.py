"""The pages on watched models: what they show, as HTML and JSON, what they refuse, and what their forms do."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from components.inference.table import append
from components.monitoring.store import Store
from components.reports.monitoring.wording import times
from taxiway.storage.home import Home
from tests.components.reports.monitoring.watched import ALARM, COLUMN, HOUR, SLICE, START, Size, fill
from tests.components.reports.parsed import HOSTILE, Page
from tests.taxiway.ui.served import Client, served

SIZE = Size(96)
LAST = times.iso(START + 95 * HOUR)
OPEN = f"/monitoring/taxi/alarms/{ALARM}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("tables")
    fill(Store(str(found / "taxi")), SIZE)
    (found / "not a model").mkdir()
    return found


@pytest.fixture
def client(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.delenv("TAXIWAY_LINEAGE", raising=False)
    with served(Home(tmp_path / "home"), tables=str(root)) as found:
        yield found


def test_models_are_listed_with_their_state_and_alarms(client: Client) -> None:
    page = Page(client.html("/monitoring"))
    assert page.wrong == []
    row = page.tables["Models"].row("taxi")
    assert row["State"] == "✗ 1 open ! 1 acknowledged i 1 suspected"
    assert row["Last window"] == "2026-03-06 00:00 UTC"
    assert "trip_miles: mean 2.9 -> 4.67" in page.text
    [found] = client.json("/monitoring")["models"]
    assert (found["model"], found["versions"], len(found["alarms"])) == ("taxi", [7, 8], 3)


def test_without_windows_the_page_of_a_model_says_what_to_type(tmp_path: Path) -> None:
    with served(Home(tmp_path / "home"), tables=str(tmp_path / "tables")) as client:
        append(str(tmp_path / "tables" / "new model"), pa.table({"request_id": ["a"], "time": [START]}))
        text = Page(client.html("/monitoring/new%20model")).text
        assert "Requests are recorded, but no window is computed yet" in text
        assert f"taxiway monitor 'new model' --tables {tmp_path / 'tables'} --every 5m" in text
        text = Page(client.html("/monitoring/new%20model?since=2026-01-01")).text
        assert "There is no window in this time." in text


def test_an_unknown_model_says_how_to_begin(client: Client) -> None:
    answer = client.get("/monitoring/nobody")
    assert answer.status == 404 and "--inference-tables" in answer.data.decode()


def test_without_tables_the_page_says_how_to_begin(tmp_path: Path) -> None:
    with served(Home(tmp_path / "home")) as client:
        assert "taxiway monitor MODEL" in Page(client.html("/monitoring")).text
        assert client.json("/monitoring") == {"models": []}


def test_the_default_place_of_the_tables_is_in_the_home(tmp_path: Path) -> None:
    fill(Store(str(tmp_path / "home" / "monitoring" / "taxi")), Size(3))
    with served(Home(tmp_path / "home")) as client:
        assert [each["model"] for each in client.json("/monitoring")["models"]] == ["taxi"]


def test_every_link_of_every_page_leads_somewhere(client: Client) -> None:
    waiting, seen = ["/monitoring"], set[str]()
    kinds = set[str]()
    while waiting:
        path = waiting.pop().partition("#")[0]
        kind = "/".join(path.partition("?")[0].split("/")[:4])
        # The many windows look alike.
        if path in seen or (kind in kinds and len(seen) > 40):
            continue
        seen.add(path)
        kinds.add(kind)
        page = Page(client.html(path))
        assert page.wrong == [], path
        waiting += [str(link["href"]) for link in page.all("a") if str(link["href"]).startswith("/monitoring")]
    assert kinds >= {f"/monitoring/taxi/{each}" for each in ("columns", "windows", "alarms")}


def test_a_version_a_slice_and_a_range_are_in_the_address(client: Client) -> None:
    page = Page(client.html(f"/monitoring/taxi?version=8&slice={SLICE}&since=2026-03-05&until=2026-03-05T06:00Z"))
    assert "2026-03-05 00:00 to 2026-03-05 06:00 UTC · 6 windows of 1 h" in page.text
    assert "version 7" not in page.text.partition("At a glance")[2].replace("all versions version 7", "")
    found = client.json("/monitoring/taxi?version=7")
    assert [each["version"] for each in found["versions"]] == [7]
    assert {each["version"] for each in found["traffic"]} == {7}


def test_a_column_shows_the_window_that_was_chosen(client: Client) -> None:
    path = f"/monitoring/taxi/columns/{COLUMN}"
    assert "from 2026-03-05 23:00 UTC" in Page(client.html(path)).text
    chosen = Page(client.html(f"{path}?window=2026-03-03T10:00:00Z"))
    assert "from 2026-03-03 10:00 UTC" in chosen.text
    assert "trip_miles, version 8" in chosen.text
    found = client.json(path)
    # Each window is compared with the training data, and with the window before.
    assert (len(found["profile"]), len(found["drift"])) == (92, 184)
    assert len(found["training"]) == 2


def test_a_window_has_all_columns_and_its_neighbours(client: Client) -> None:
    page = Page(client.html(f"/monitoring/taxi/windows/{LAST}"))
    assert page.tables["7 columns"].row(COLUMN)["Test"] == "✗ values"
    assert "All columns together" in page.text
    buttons = [link["href"] for link in page.all("a") if link.get("class") == "button"]
    assert buttons == [f"/monitoring/taxi/windows/{times.iso(START + 94 * HOUR).replace(':', '%3A')}"]


def test_an_alarm_says_what_was_looked_at_and_what_can_be_done(client: Client, root: Path) -> None:
    page = Page(client.html(OPEN))
    for words in ("1.0e-10", "+0.84 standard deviations", "81,000,000", "not pushed from here", "training"):
        assert words in page.text, words
    for words in (
        "by rank counts from 0.07 sd on",
        "at most 0.01 (level",
        "opens at 5,000 (windows_between_false_alarms",
    ):
        assert words in page.text, words
    assert f"alarms ack taxi {ALARM} --tables {root}" in page.text
    assert client.json(OPEN)["picture"]["kind"] == "numbers"
    closed = Page(client.html("/monitoring/taxi/alarms/0d93aa6be412"))
    assert "Nothing: it is over." in closed.text
    assert closed.all("form") == []


def test_an_alarm_is_acknowledged_by_somebody(client: Client, tmp_path: Path) -> None:
    fill(Store(str(tmp_path / "own" / "taxi")), Size(6))
    with served(Home(tmp_path / "home"), tables=str(tmp_path / "own")) as own:
        form = {"form_token": own.form_token(OPEN), "by": "dispatch"}
        assert own.send(f"{OPEN}/acknowledge", {**form, "by": " "}).status == 400
        assert own.send(f"{OPEN}/acknowledge", {**form, "form_token": "0" * 64}).status == 403
        assert own.json(OPEN)["state"] == "open"
        done = own.send(f"{OPEN}/acknowledge", form)
        assert (done.status, done.headers["Location"]) == (303, OPEN)
        found = own.json(OPEN)
        assert (found["state"], found["acknowledged_by"]) == ("acknowledged", "dispatch")
        assert 'acknowledge"' not in own.html(OPEN)


def test_a_column_is_muted_for_some_days(client: Client, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "own" / "taxi"))
    fill(store, Size(6))
    with served(Home(tmp_path / "home"), tables=str(tmp_path / "own")) as own:
        form = {"form_token": own.form_token(OPEN), "by": "dispatch", "days": "7", "reason": "kilometres are meant"}
        assert own.send(f"{OPEN}/mute", {**form, "days": "1000000"}).status == 400
        assert own.send(f"{OPEN}/mute", form).status == 303
        [mute] = store.read("mutes").to_pylist()
        assert (mute["column"], mute["kind"], mute["slice"]) == (COLUMN, "drift", "")
        assert (mute["by"], mute["reason"]) == ("dispatch", "kilometres are meant")
        assert 6.9 < (mute["until"] - datetime.now(UTC)).total_seconds() / 86_400 <= 7
        page = Page(own.html(OPEN))
        assert "Muted until" in page.text
        assert (own.json(OPEN)["state"], page.all("form")) == ("muted", [])


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/monitoring/other", 404, "no model 'other' is watched"),
        ("/monitoring/not%20a%20model", 404, "is watched"),
        ("/monitoring/..%2F..", 404, "is watched"),
        ("/monitoring/taxi/columns/none", 404, "has no column 'none'"),
        ("/monitoring/taxi/windows/2020-01-01T00:00:00Z", 404, "there is no window from 2020-01-01 00:00"),
        ("/monitoring/taxi/windows/soon", 400, "'soon' is no time"),
        ("/monitoring/taxi/alarms/none", 404, "there is no alarm 'none'"),
        ("/monitoring/taxi?version=x", 400, "'x' is no version"),
        ("/monitoring/taxi?since=x", 400, "'x' is no time"),
        ("/monitoring/taxi?since=9999-12-31T23:59:59.999999-12:00", 400, "is no time"),
        ("/monitoring/taxi?version=99999999999999999999", 400, "is no version"),
        ("/monitoring/taxi?slice=' OR 1=1 --&version=8", 200, ""),
    ],
)
def test_addresses_that_lead_nowhere(client: Client, path: str, status: int, words: str) -> None:
    answer = client.get(path.replace(" ", "%20"))
    assert answer.status == status
    assert words in answer.data.decode().replace("&#39;", "'")


def test_hostile_names_of_columns_and_values_are_shown_as_text(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "tables" / "taxi"))
    fill(store, Size(4))
    names = [name.encode("utf-8", "replace").decode() for name in HOSTILE]
    for table in ("profile", "drift", "training"):
        rows = [{**row, "column": names[0]} for row in store.read(table).to_pylist() if row["column"] == COLUMN]
        for row in rows:
            row.update({"top_values": [{"value": name, "count": 1} for name in names]} if "top_values" in row else {})
        store.append(table, type(store.read(table)).from_pylist(rows, schema=store.read(table).schema))
    with served(Home(tmp_path / "home"), tables=str(tmp_path / "tables")) as client:
        listed = client.html("/monitoring/taxi")
        assert names[0] not in listed
        [place] = {str(each["href"]) for each in Page(listed).all("a") if "script" in str(each.get("href"))}
        shown = Page(client.html(place))
        assert (shown.wrong, [each for each in shown.all("script") if "src" not in each]) == ([], [])
        assert names[0] in shown.text
