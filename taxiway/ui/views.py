"""What the rooms of the pages are made of: routes, requests, and views that are both a page and a JSON document.

A room is a folder with a `ROOM`: its entry in the navigation and its routes. A page's function is plain and
synchronous: it gets the site and what was asked, and returns a `View`. The server calls it in a thread, and answers
with HTML or, for `.json`, `?format=json` or `Accept: application/json`, with the document.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from aiohttp import web
from multidict import MultiMapping

from components.contract.errors import UserError
from components.reports.markup import Content
from components.reports.page import Section
from taxiway.reports.run import RecordedRun, find
from taxiway.runs.index import Index
from taxiway.storage.home import Home

if TYPE_CHECKING:
    from taxiway.lineage.store import LineageStore

Json = Any


class MissingError(UserError):
    """What was asked for is not there: status 404."""


@dataclass(frozen=True)
class Site:
    """What all pages share.

    Attributes:
        home: Where runs and artifacts are.
        secret: Known to this process alone; signs the tokens in forms.
        token: What a client from elsewhere has to know; empty if none is needed.
        servers: The REST addresses of model servers.
        destinations: Further places that models are pushed to.
        tables: The folder or URL with the tables of watched models.
        is_copy: Whether the runs are copies of Kubeflow's: they can be looked at, and nothing else.
    """

    home: Home
    secret: bytes
    token: str = ""
    servers: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    tables: str = ""
    is_copy: bool = False
    _alone: Lock = field(default_factory=Lock, repr=False, compare=False)

    @cached_property
    def index(self) -> Index:
        """The runs at a glance."""
        return Index(self.home)

    @contextmanager
    def lineage(self) -> Iterator[LineageStore | None]:
        """The lineage store, for this thread alone while the block runs; None if nothing was recorded yet."""
        # Imports gRPC.
        from taxiway.lineage.store import LineageStore

        with self._alone:
            yield LineageStore.open_existing(self.home.lineage)

    def read(self, run_id: str) -> RecordedRun:
        """A run by its id, or the beginning of one, or `latest`.

        Raises:
            MissingError: There is no such run, or its record cannot be read.
        """
        try:
            return find(run_id, self.home)
        except UserError as error:
            raise MissingError(error.what, fix=error.fix) from error


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        path: The variables of the route, decoded.
        query: What follows the `?`, decoded.
        form: The fields of a form that was sent.
        form_token: What a form of this page has to send back; see `forms`.
    """

    path: Mapping[str, str]
    query: MultiMapping[str]
    form: MultiMapping[str]
    form_token: str = ""


@dataclass(frozen=True)
class Live:
    """A page that changes by itself: where to ask whether it has, and the state that it shows."""

    address: str
    state: str


@dataclass(frozen=True)
class View:
    """A page, and the same as a document.

    Attributes:
        title: The page's heading.
        sections: Makes its parts; called for HTML only.
        document: Makes the JSON; called for JSON only.
        subtitle: One line below the heading.
        crumbs: Pages above this one: name and address.
        actions: Links and forms beside the heading.
        live: Where to ask for changes; None if it does not change by itself.
        status: The HTTP status.
    """

    title: str
    sections: Callable[[], Sequence[Section]]
    document: Callable[[], Json]
    subtitle: Content = ""
    crumbs: Sequence[tuple[str, str]] = ()
    actions: Content = ""
    live: Live | None = None
    status: int = 200


Show = Callable[[Site, Asked], View]
Act = Callable[[Site, Asked], str]
Answer = Callable[[Site, Asked], Json]
Handle = Callable[[Site, web.Request], Awaitable[web.StreamResponse]]


def late(module: str, function: str) -> Callable[[Site, Asked], Any]:
    """A function of a room, imported at its first call: some load Arrow, 60 MB that no other page needs."""

    def called(site: Site, asked: Asked) -> Any:
        return getattr(import_module(module), function)(site, asked)

    return called


@dataclass(frozen=True)
class Page:
    """A page at a path, and its JSON at the same path with `.json`."""

    path: str
    show: Show


@dataclass(frozen=True)
class Action:
    """Something that a form does, by POST alone; returns the address of the page that comes next."""

    path: str
    act: Act


@dataclass(frozen=True)
class Data:
    """JSON that is no page."""

    path: str
    answer: Answer


@dataclass(frozen=True)
class Raw:
    """A handler of aiohttp's, for what is neither a page nor JSON."""

    path: str
    handle: Handle


Route = Page | Action | Data | Raw


@dataclass(frozen=True)
class Room:
    """Pages of one subject: the name and the address in the navigation, and the routes."""

    name: str
    path: str
    routes: Sequence[Route] = field(default_factory=tuple)


def address(*parts: str, **query: str | Sequence[str]) -> str:
    """An address on this server, with everything escaped: `address("runs", id, metric="auc > 0.9")`."""
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    given = {name: value for name, value in query.items() if value}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path
