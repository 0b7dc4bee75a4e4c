"""Requests as bytes: made from the declared schema, and then spoiled as JSON, as a query, and as HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import strategies as st

from labsched.wire.messages import API
from labsched.wire.openapi import ROUTES, Route, document
from tests.fuzz.schema import JUNK, WORDS, spoiled, text, values

COMPONENTS = document()["components"]["schemas"]
COMMANDS = (["true"], ["false"], ["sh", "-c", "exit 75"], ["no-such-command"], ["echo", "{secret}"], ["sleep", "0.05"])
SLOW = ("status", "history", "events")
RARE = {"backup": 0.01, "doctor": 0.05, "config/reload": 0.05, "prune": 0.1} | dict.fromkeys(SLOW, 0.3)


@dataclass(frozen=True)
class Asked:
    """What is asked for, as values."""

    route: Route
    where: str
    query: dict[str, Any]
    body: Any


def asked(route: Route) -> st.SearchStrategy[Asked]:
    """Requests that this route declares."""
    where = "jobs/" + "{word}" if route.path == "jobs/{verb}" else route.path
    words = st.sampled_from(("cancel", "hold", "release", "retry", "CPU", "RAM", "GPU", *WORDS))
    given = {key: values(schema, COMPONENTS) for key, schema in route.query.items()}
    must = {key: given[key] for key in route.required}
    query = st.fixed_dictionaries(must, optional={key: one for key, one in given.items() if key not in must})
    body = values({"$ref": f"/{route.body.__name__}"}, COMPONENTS) if route.body else st.none()
    return st.builds(
        lambda word, query, body: Asked(route, where.format(word=word, name=word), query, body), words, query, body
    )


anything = st.one_of(*(asked(route) for route in ROUTES))


def whole(one: Asked, numbers: Sequence[int], secret: str, random: Random) -> Asked:
    """It, about jobs that there are and commands that end; so that it may do something."""
    query, body = dict(one.query), one.body
    for key in ("ref", "job"):
        if key in query and random.random() < 0.8:
            query[key] = str(random.choice(numbers)) if numbers else "last"
    if "jobs" in query:
        query["jobs"] = ",".join(str(random.choice(numbers or [1])) for _ in range(random.randrange(1, 4)))
    for key in ("within", "follow"):
        if key in query:
            query[key] = 0 if random.random() < 0.9 else 0.01 if key == "within" else 1
    if one.route.path == "jobs":
        body = {**body, "jobs": [_job(job, secret, random) for job in body["jobs"] or [{}]]}
    elif isinstance(body, dict) and "jobs" in body and random.random() < 0.8:
        body = {**body, "jobs": [str(random.choice(numbers or [1])) for _ in range(random.randrange(1, 4))]}
    return Asked(one.route, one.where, query, body)


def _job(job: dict[str, Any], secret: str, random: Random) -> dict[str, Any]:
    stages = [
        {
            **{key: value for key, value in stage.items() if key in ("time_limit", "retry") and random.random() < 0.1},
            "name": f"s{number}",
            "argv": [word.format(secret=secret) for word in random.choice(COMMANDS)],
            "needs": {"CPU": random.randrange(3)},
            "cwd": "/",
            "env": {"TOKEN": secret},
        }
        for number, stage in enumerate((job.get("stages") or [{}])[:3])
    ]
    return {
        "name": f"job {random.randrange(50)}",
        "stages": stages,
        "hold": random.random() < 0.2,
        "env": {"S": secret},
    }


def spoil(one: Asked, random: Random) -> Asked:
    """Nearly that."""
    if one.body is not None and random.random() < 0.8:
        return Asked(one.route, one.where, one.query, spoiled(one.body, random))
    query = dict(one.query)
    keys = [*query, *one.route.query, "unknown"]
    query[random.choice(keys)] = random.choice(JUNK)
    return Asked(one.route, one.where, query, one.body)


def encode(one: Asked, random: Random) -> bytes:
    """It as HTTP."""
    query = {key: value if isinstance(value, str) else str(value) for key, value in one.query.items()}
    target = f"{API}/{quote(one.where, errors='surrogatepass')}"
    if query:
        target += "?" + urlencode(query, errors="surrogatepass")
    head = f"{one.route.method} {target} HTTP/1.1\r\nHost: labsched\r\n"
    if one.route.body is None:
        return f"{head}\r\n".encode()
    body = text(one.body, random)
    if random.random() < 0.05:
        return f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


HEADERS = (
    *(
        b"A: " + b"x" * 9_000,
        b": nothing",
        b"no colon",
        b"A\x00B: c",
        b"Content-Length: -1",
        b"Content-Length: 99999999999",
    ),
    *(b"Content-Length: 5, 6", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: x", b"Connection: upgrade"),
    *(
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"Expect: 200",
        b"Content-Encoding: gzip",
        b"Host: other",
        b"\xff: \xfe",
    ),
    *(
        b"Content-Type: text/plain; charset=nonsense",
        b"Range: bytes=0-1,2-3",
        b"X-User: root",
        b"Cookie: a=b",
        b" folded",
    ),
)
LINES = (
    *(
        b"GET",
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/9.9",
        b"GET http://[ HTTP/1.1",
        b"GET //// HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
    ),
    *(
        b"PUT /v1/jobs HTTP/1.1",
        b"GET /v1/job?ref=%ff%00 HTTP/1.1",
        b"GET /v1/../../etc/passwd HTTP/1.1",
        b"PRI * HTTP/2.0",
    ),
    *(
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET /" + b"a" * 9_000 + b" HTTP/1.1",
        b"CONNECT a:1 HTTP/1.1",
        b"get /v1/pools HTTP/1.1",
    ),
    *(
        b"HEAD /v1/pools HTTP/1.1",
        b"TRACE / HTTP/1.1",
        b"GET /v1/pools",
        b"GET /v1/pools HTTP/1.0",
        b"DELETE /v1/jobs/1 HTTP/1.1",
    ),
)


def malform(data: bytes, random: Random) -> bytes:
    """It as what is hardly HTTP."""
    line, _, rest = data.partition(b"\r\n")
    match random.randrange(7):
        case 0:
            return random.choice(LINES) + b"\r\nHost: x\r\n\r\n"
        case 1:
            return line + b"\r\n" + random.choice(HEADERS) + b"\r\n" + rest
        case 2:
            return line + b"\r\n" + b"".join(b"h%d: v\r\n" % n for n in range(random.choice((20, 200)))) + rest
        case 3:
            where = random.randrange(len(data))
            return data[:where] + random.randbytes(random.randrange(1, 9)) + data[where + 1 :]
        case 4:
            return data.replace(b"\r\n", b"\n")
        case 5:
            return random.randbytes(random.choice((1, 20, 3_000)))
    return data[: random.randrange(len(data))]
