"""The page at `/` has the models and commands, and values are escaped."""

from __future__ import annotations

from html.parser import HTMLParser

from taxiway.serving.rest.page import Model, Version, page
from taxiway.serving.rest.sample_requests import Sample


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_lists_models_versions_labels_and_commands() -> None:
    body = '{"inputs": {"x": [[0.5]]}}'
    versions = [Version(7, "AVAILABLE", labels=["stable"]), Version(8, "END", "no saved_model.pb")]
    shown = _Page(
        page([Model("taxi", versions, [Sample("predict", body)]), Model("new")], "http://h:1", "/metrics")
    ).text
    for text in ("taxi", "7", "AVAILABLE", "stable", "8", "END", "no saved_model.pb", "No versions found yet."):
        assert text in shown
    assert f"curl -d '{body}' http://h:1/v1/models/taxi:predict" in shown
    assert "curl http://h:1/v1/models/new" in shown
    assert "No models." in page([], "http://h:1", "")


def test_names_cannot_become_tags_or_commands() -> None:
    evil = "\"'><script>alert(1)</script>$(touch x);`id` é/../"
    plain = _Page(page([Model("m", [Version(1, "END", "m", ["m"])])], "http://h", "/metrics"))
    odd = _Page(page([Model(evil, [Version(1, "END", evil, [evil])])], "http://h", "/metrics"))
    assert odd.tags == plain.tags
    assert odd.links == plain.links == ["/openapi.json", "/metrics", "/readyz"]
    assert odd.text.count(evil) == 3
    command = odd.text.split("curl ")[1].split("\n")[0]
    assert command.startswith("http://h/v1/models/%22%27%3E%3Cscript%3E")
    assert "<script" not in page([Model("m", [])], f"http://{evil}", "")
