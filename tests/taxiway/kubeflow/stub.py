"""A stub of Kubeflow Pipelines in one process: its documented REST API, behind the server of its UI.

Source: kubeflow/pipelines, backend/api/v2beta1/*.proto and frontend/server/app.ts; for several users
backend/src/apiserver/auth, the `canAccess` functions of its servers, and frontend/server/helpers/auth.ts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_service_pb2 as service

from tests import loopback

Json = dict[str, Any]
Answer = tuple[int, bytes]

NOT_FOUND = (404, b'{"error": "not found", "code": 5, "message": "not found"}')


@dataclass
class Kubeflow:
    """The server's state, the requests that it received, and answers that differ from the usual ones.

    Attributes:
        multi_user: Whether each user has a namespace; then only users with rights are served.
        rights: `view` or `edit` by user and namespace.
        users: Users by token for the API.
        token: The only token that the gateway accepts; empty accepts any.
        cookie: The only cookie that the gateway accepts; others are sent to its login page.
        overrides: Answers by a pattern of `METHOD /path`, which take precedence over all others.
        looks: A run's details and state at each poll; the last is repeated.
        pods: Pods by name.
        logs: Logs by pod name.
        events: Kubernetes' events by pod name.
        tasks: The task API's answer at each poll; empty if this Kubeflow has no task API.
        metadata: An ML Metadata store, or None.
        received: `METHOD /path` of every request, with its body if it is JSON.
    """

    multi_user: bool = False
    rights: dict[tuple[str, str], str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    token: str = ""
    cookie: str = ""
    overrides: dict[str, Answer] = field(default_factory=dict)
    looks: list[Json] = field(default_factory=list)
    pods: dict[str, Json] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    events: dict[str, list[Json]] = field(default_factory=dict)
    tasks: list[list[Json]] = field(default_factory=list)
    metadata: MetadataStore | None = None
    received: list[tuple[str, Any]] = field(default_factory=list)
    pipelines: dict[str, Json] = field(default_factory=dict)
    versions: dict[str, Json] = field(default_factory=dict)
    experiments: list[Json] = field(default_factory=list)
    runs: dict[str, Json] = field(default_factory=dict)
    schedules: list[Json] = field(default_factory=list)
    url: str = ""

    def requests(self, pattern: str) -> list[Any]:
        """The bodies of the requests that match."""
        return [body for request, body in self.received if re.fullmatch(pattern, request)]

    def answer(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        """The status and the body of an answer."""
        self.received.append((f"{method} {path}", _json(body)))
        for pattern, answer in self.overrides.items():
            if re.fullmatch(pattern, f"{method} {path}"):
                return answer
        for pattern, handler in _HANDLERS.items():
            if match := re.fullmatch(pattern, f"{method} {path}"):
                result = handler(self, {**query, **match.groupdict()}, body)
                return result if isinstance(result, tuple) else (200, json.dumps(result).encode())
        return NOT_FOUND

    def refusal(
        self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Mapping[str, str]
    ) -> Answer | None:
        """The answer to a user without the required right; None if the request is allowed."""
        if not self.multi_user:
            return None
        if path.startswith("/k8s/"):
            # The UI's server only passes on the header that the gateway sets.
            allowed = self.rights.get((headers.get("kubeflow-userid", ""), query["podnamespace"]))
            return None if allowed else (403, b"Access denied to namespace")
        match = re.fullmatch(
            rf"{_API}/(pipelines|experiments|runs|recurringruns)(?:/(?!names/|upload)([^/]+))?.*", path
        )
        if not match:
            return None
        verb = "create" if method == "POST" else "get"
        namespace = self._namespace(match[1], match[2] or query.get("pipelineid", ""), query, body)
        if namespace is None or (not namespace and (match[1], verb) == ("pipelines", "get")):
            return None
        refusal = self._forbidden(verb, match[1], namespace, headers)
        if refusal and path.endswith("upload_version"):
            return 400, b'{"error_message": "Failed to create a pipeline version", "error_details": "..."}'
        return refusal

    def _namespace(self, kind: str, id_: str, query: Mapping[str, str], body: Any) -> str | None:
        """The namespace of the requested object; None if it does not exist."""
        if kind == "pipelines" and id_:
            return next((p.get("namespace", "") for p in self.pipelines.values() if p["pipeline_id"] == id_), None)
        if kind in ("runs", "recurringruns"):
            experiment = (self.runs.get(id_, {}) if id_ else body).get("experiment_id", "")
            return next((e["namespace"] for e in self.experiments if e["experiment_id"] == experiment), None)
        given = body if isinstance(body, dict) else {}
        return query.get("namespace", "") or str(given.get("namespace", ""))

    def _forbidden(self, verb: str, kind: str, namespace: str, headers: Mapping[str, str]) -> Answer | None:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        user = headers.get("kubeflow-userid", "") or self.users.get(token, "")
        if not namespace:
            return _error(400, 3, f"the {kind} cannot have an empty namespace in multi-user mode")
        if not user:
            return _error(401, 16, "Failed to check authorization. User identity is empty in the request header")
        if self.rights.get((user, namespace)) in (("edit",) if verb == "create" else ("view", "edit")):
            return None
        review = f"&ResourceAttributes{{Namespace:{namespace},Verb:{verb},Resource:{kind},}}"
        return _error(403, 7, f"User '{user}' is not authorized with reason:  (request: {review})")

    def make_pipeline(self, query: Mapping[str, str], body: bytes) -> Json:
        given = json.loads(body)
        made = {**given, "pipeline_id": f"pipeline-{len(self.pipelines)}"}
        self.pipelines[given["display_name"]] = made
        return made

    def pipeline(self, query: Mapping[str, str], body: bytes) -> Json | Answer:
        return self.pipelines.get(query["name"], NOT_FOUND)

    def list_versions(self, query: Mapping[str, str], body: bytes) -> Json:
        requested_name = json.loads(query["filter"])["predicates"][0]["stringValue"]
        return {"pipeline_versions": [v for v in self.versions.values() if v["display_name"] == requested_name]}

    def upload_version(self, query: Mapping[str, str], body: bytes) -> Json:
        text = body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0].decode()
        id_ = f"version-{len(self.versions)}"
        made = {"pipeline_id": query["pipelineid"], "pipeline_version_id": id_, "display_name": query["name"]}
        self.versions[id_] = {**made, "yaml": text}
        return made

    def version(self, query: Mapping[str, str], body: bytes) -> Json:
        found = self.versions[query["version"]]
        if "yaml" not in found:
            return found
        spec, *platform = yaml.safe_load_all(found["yaml"])
        document = {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec
        return {**{key: value for key, value in found.items() if key != "yaml"}, "pipeline_spec": document}

    def list_experiments(self, query: Mapping[str, str], body: bytes) -> Json:
        requested_name = json.loads(query["filter"])["predicates"][0]["stringValue"]
        return {"experiments": [e for e in self.experiments if e["display_name"] == requested_name]}

    def make_experiment(self, query: Mapping[str, str], body: bytes) -> Json:
        self.experiments.append({**json.loads(body), "experiment_id": f"experiment-{len(self.experiments)}"})
        return self.experiments[-1]

    def make_run(self, query: Mapping[str, str], body: bytes) -> Json:
        run = {**json.loads(body), "run_id": f"run-{len(self.runs)}", "state": "PENDING"}
        self.runs[run["run_id"]] = run
        return run

    def list_runs(self, query: Mapping[str, str], body: bytes) -> Json:
        """The latest first, two per page, without their details."""
        assert query["sort_by"] == "created_at desc"
        start, known = int(query.get("page_token") or 0), list(reversed(self.runs.values()))
        if query.get("filter"):
            wanted = json.loads(query["filter"])["predicates"][0]["stringValue"]
            known = [run for run in known if run["display_name"] == wanted]
        found = [{key: value for key, value in run.items() if key != "pipeline_spec"} for run in known]
        return {"runs": found[start : start + 2], "next_page_token": str(start + 2) if start + 2 < len(found) else ""}

    def run(self, query: Mapping[str, str], body: bytes) -> Json | Answer:
        if query["run"] not in self.runs:
            return NOT_FOUND
        look = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {**self.runs[query["run"]], **look}

    def make_schedule(self, query: Mapping[str, str], body: bytes) -> Json:
        self.schedules.append({**json.loads(body), "recurring_run_id": f"schedule-{len(self.schedules)}"})
        return self.schedules[-1]

    def pod(self, query: Mapping[str, str], body: bytes) -> Json | Answer:
        return self.pods.get(query["podname"], (500, b"Could not get pod"))

    def list_events(self, query: Mapping[str, str], body: bytes) -> Json:
        return {"items": self.events.get(query["podname"], [])}

    def list_tasks(self, query: Mapping[str, str], body: bytes) -> Json | Answer:
        """Two tasks per page."""
        if not self.tasks:
            return NOT_FOUND
        start = int(query.get("page_token") or 0)
        last = start + 2 >= len(self.tasks[0])
        found = {"tasks": self.tasks[0][start : start + 2], "next_page_token": "" if last else str(start + 2)}
        if last and len(self.tasks) > 1:
            self.tasks.pop(0)
        return found

    def log(self, query: Mapping[str, str], body: bytes) -> Answer:
        text = self.logs.get(query["podname"])
        return (200, text.encode()) if text is not None else (500, b"Could not get main container logs")

    def call_metadata(self, query: Mapping[str, str], body: bytes) -> Answer:
        """gRPC-Web: a frame with the message and a frame with the status."""
        if self.metadata is None:
            return NOT_FOUND
        message = _METADATA[query["method"]](self.metadata, body[5:]).SerializeToString()
        trailers = b"grpc-status: 0\r\n"
        frames = ((b"\x00", message), (b"\x80", trailers))
        return 200, b"".join(flag + len(data).to_bytes(4, "big") + data for flag, data in frames)


_API = r"/apis/v2beta1"
_HANDLERS: dict[str, Any] = {
    rf"GET {_API}/healthz": lambda kubeflow, query, body: {"multi_user": kubeflow.multi_user},
    r"GET /apis/v1beta1/healthz": lambda *_: {"commit_sha": "0" * 40, "tag_name": "2.18.1"},
    rf"GET {_API}/pipelines/names/(?P<name>[^/]+)": Kubeflow.pipeline,
    rf"POST {_API}/pipelines": Kubeflow.make_pipeline,
    rf"GET {_API}/pipelines/[^/]+/versions": Kubeflow.list_versions,
    rf"GET {_API}/pipelines/[^/]+/versions/(?P<version>[^/]+)": Kubeflow.version,
    rf"POST {_API}/pipelines/upload_version": Kubeflow.upload_version,
    rf"GET {_API}/experiments": Kubeflow.list_experiments,
    rf"POST {_API}/experiments": Kubeflow.make_experiment,
    rf"POST {_API}/runs": Kubeflow.make_run,
    rf"GET {_API}/runs": Kubeflow.list_runs,
    rf"GET {_API}/runs/(?P<run>[^/]+)": Kubeflow.run,
    rf"POST {_API}/recurringruns": Kubeflow.make_schedule,
    r"GET /k8s/pod": Kubeflow.pod,
    r"GET /k8s/pod/events": Kubeflow.list_events,
    r"GET /k8s/pod/logs": Kubeflow.log,
    rf"GET {_API}/tasks": Kubeflow.list_tasks,
    r"GET /apis/v1alpha1/runs/[^/]+/nodes/(?P<podname>[^/]+)/log": Kubeflow.log,
    r"POST /ml_metadata.MetadataStoreService/(?P<method>\w+)": Kubeflow.call_metadata,
}


def _context(store: MetadataStore, body: bytes) -> Any:
    request = service.GetContextByTypeAndNameRequest.FromString(body)
    found = store.get_context_by_type_and_name(request.type_name, request.context_name)
    return service.GetContextByTypeAndNameResponse(context=found)


def _executions(store: MetadataStore, body: bytes) -> Any:
    request = service.GetExecutionsByContextRequest.FromString(body)
    return service.GetExecutionsByContextResponse(executions=store.get_executions_by_context(request.context_id))


def _artifacts(store: MetadataStore, body: bytes) -> Any:
    request = service.GetArtifactsByContextRequest.FromString(body)
    return service.GetArtifactsByContextResponse(artifacts=store.get_artifacts_by_context(request.context_id))


def _events(store: MetadataStore, body: bytes) -> Any:
    request = service.GetEventsByExecutionIDsRequest.FromString(body)
    return service.GetEventsByExecutionIDsResponse(
        events=store.get_events_by_execution_ids(list(request.execution_ids))
    )


_METADATA = {
    "GetContextByTypeAndName": _context,
    "GetExecutionsByContext": _executions,
    "GetArtifactsByContext": _artifacts,
    "GetEventsByExecutionIDs": _events,
}


@contextmanager
def serving(kubeflow: Kubeflow) -> Iterator[Kubeflow]:
    """Runs the server on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if kubeflow.token and self.headers.get("Authorization") != f"Bearer {kubeflow.token}":
                status, answer = 401, b"Jwt is expired"
            elif kubeflow.cookie and headers.get("cookie") != kubeflow.cookie:
                status, answer = 302, b"Found"
            else:
                refusal = kubeflow.refusal(self.command, parts.path, query, _json(body), headers)
                status, answer = refusal or kubeflow.answer(self.command, parts.path, query, body)
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", "/dex/auth")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with loopback.serving(Handler) as kubeflow.url:
        yield kubeflow


def _error(status: int, code: int, message: str) -> Answer:
    """An error of the API server: the whole chain as its message, and the last link in its details."""
    chain = f"Failed to authorize the request: {message}: Unauthorized access"
    details = [{"@type": "type.googleapis.com/google.rpc.Status", "code": code, "message": message}]
    return status, json.dumps({"error": chain, "code": code, "message": chain, "details": details}).encode()


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
