"""The requests that a daemon answers, declared once, and the OpenAPI document of them: GET /v1/openapi.json.

Programs may be made from it; the fuzzer is. A test holds it against the routes.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from labsched import __version__
from labsched.wire import messages, requests
from labsched.wire.messages import API

NUMBER: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
FLAG: dict[str, Any] = {"type": "string", "enum": ["0", "1"]}
SECONDS: dict[str, Any] = {"type": "number", "minimum": 0}
TEXT: dict[str, Any] = {"type": "string"}
REF: dict[str, Any] = {"type": "string", "description": "a job: its number, its name, or last"}
NUMBERS: dict[str, Any] = {"type": "string", "pattern": r"^\d{1,15}(,\d{1,15})*$"}
MONTH: dict[str, Any] = {"type": "string", "pattern": r"^\d{4}-(0[1-9]|1[0-2])$"}
VERBS = ("cancel", "hold", "release", "retry")


@dataclass(frozen=True, slots=True)
class Route:
    """A request: what it asks, by which parameters, with which body, and what answers it (a message, or a stream's
    kind of content)."""

    method: str
    path: str
    what: str
    answer: type[msgspec.Struct] | str
    query: dict[str, dict[str, Any]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    body: type[msgspec.Struct] | None = None
    status: int = 200


ROUTES = (
    Route("GET", "daemon", "who answers here", messages.Daemon),
    Route(
        *("GET", "status", "what runs, what waits and why, what ended", messages.Status),
        {"all": FLAG, "limit": NUMBER, "offset": NUMBER, "revision": NUMBER, "within": SECONDS},
    ),
    Route(
        *("GET", "history", "jobs that ended, the newest first", messages.History),
        {"limit": NUMBER, "before": NUMBER, "user": TEXT, "outcome": TEXT, "name": TEXT},
    ),
    Route("GET", "job", "all of a job", messages.Job, {"ref": REF, "env": FLAG}, ("ref",)),
    Route(
        *("GET", "log", "what an attempt has written", "text/plain"),
        {"ref": REF, "stage": TEXT, "attempt": NUMBER, "lines": NUMBER, "offset": NUMBER, "follow": FLAG},
        ("ref",),
    ),
    Route(
        *("GET", "events", "what has changed, an Event a line", "application/x-ndjson"),
        {"after": NUMBER, "last": NUMBER, "limit": NUMBER, "job": REF, "follow": FLAG},
    ),
    Route(
        *("GET", "wait", "until one of these jobs has ended", messages.Waited),
        {"jobs": NUMBERS, "within": SECONDS},
        ("jobs",),
    ),
    Route("GET", "pools", "the pools", messages.Pools),
    Route(
        *("GET", "usage", "who used what, by month", messages.Usage),
        {"from": MONTH, "to": MONTH, "user": TEXT, "by": {"type": "string", "pattern": r"^(month|user|recipe)(,.+)?$"}},
    ),
    Route("GET", "metrics", "figures for Prometheus", "text/plain"),
    Route("GET", "notify", "where people are told what happens", messages.Targets, {"all": FLAG}),
    Route("GET", "doctor", "what the daemon finds about itself", messages.Doctor, {"full": FLAG}),
    Route("GET", "backup", "the queue as it is at one moment (admins only)", "application/vnd.sqlite3"),
    Route("GET", "openapi.json", "this document", "application/json"),
    Route("POST", "jobs", "queue jobs, all or none", messages.Submitted, body=requests.Submit, status=201),
    Route("POST", "jobs/edit", "change what is given of these jobs, or of none", messages.Jobs, body=requests.Edit),
    Route("POST", "jobs/{verb}", "do it to all of these jobs, or to none", messages.Jobs, body=requests.Verb),
    Route("POST", "pools/{name}", "change a pool (admins only)", messages.Pools, body=requests.PoolSet),
    Route("POST", "notify/add", "tell whoever asks there", messages.Targets, body=requests.NotifyAdd, status=201),
    Route("POST", "notify/remove", "tell them no more", messages.Targets, body=requests.NotifyPick),
    Route("POST", "notify/test", "send a message there, for a try", messages.Tries, body=requests.NotifyPick),
    Route("POST", "prune", "remove old jobs, a Pruned a line", "application/x-ndjson", body=requests.Prune),
    Route(
        "POST", "config/reload", "read the configuration again (admins only)", messages.Reloaded, body=requests.Reload
    ),
)
ERRORS = {400: "it makes no sense", 403: "not allowed to you", 404: "there is no such thing", 409: "not allowed now",
          413: "too large", 503: "at another time"}  # fmt: skip


def document() -> dict[str, Any]:
    """The OpenAPI document, version 3.1."""
    kinds = {kind for route in ROUTES for kind in (route.answer, route.body) if isinstance(kind, type)}
    _, schemas = msgspec.json.schema_components(
        [*sorted(kinds, key=lambda kind: kind.__name__), messages.Error, messages.Event, messages.Pruned],
        schema_hook=lambda _: {"description": "anything"},
        ref_template="#/components/schemas/{name}",
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(f"{API}/{route.path}", {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "labsched",
            "version": __version__,
            "description": "A queue for one lab's server, on a unix socket. Who asks is who the kernel says.",
        },
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _operation(route: Route) -> dict[str, Any]:
    in_path = re.findall(r"{(\w+)}", route.path)
    given = [{"name": name, "in": "path", "required": True, "schema": _in_path(name)} for name in in_path]
    asked = [
        {"name": name, "in": "query", "required": name in route.required, "schema": schema}
        for name, schema in route.query.items()
    ]
    said: dict[str, Any] = {"summary": route.what, "parameters": given + asked, "responses": _responses(route)}
    if route.body is not None:
        said["requestBody"] = {"required": True, "content": _json(route.body)}
    return said


def _in_path(name: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(VERBS)} if name == "verb" else TEXT


def _responses(route: Route) -> dict[str, Any]:
    content = _json(route.answer) if isinstance(route.answer, type) else {route.answer: {}}
    bad = {"description": "a sentence that says what to do next", "content": _json(messages.Error)}
    return {str(route.status): {"description": route.what, "content": content}} | {
        str(status): {**bad, "description": what} for status, what in ERRORS.items()
    }


def _json(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}
