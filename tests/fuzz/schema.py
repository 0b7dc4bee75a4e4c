"""From a JSON schema to values that it allows; and such values with something wrong in them."""

import json
from collections.abc import Mapping
from random import Random
from typing import Any

from hypothesis import strategies as st

Schema = Mapping[str, Any]
WORDS = (
    "",
    "a",
    "x" * 70,
    "größer",
    "..",
    "../../etc/passwd",
    "last",
    "1",
    "\x00",
    "\ud800",
    "%00",
    "a\nb",
    "'; --",
    "/",
)
JUNK: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**63, 2**64, 10**30, -(10**30), 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *("", "\0", "\ud800", "\u202e", "last", "../../../etc/passwd", "9" * 30, "x" * 5_000, "{}", "%s%n", "${HOME}"),
    *([], {}, [[]], {"": {}}, ["1"] * 50, {"a": {"b": {"c": []}}}, {"name": "x"}, list(range(200))),
)


def values(schema: Schema, components: Mapping[str, Schema]) -> st.SearchStrategy[Any]:
    """Values that a schema allows; of what msgspec writes into one."""
    if name := schema.get("$ref"):
        return st.deferred(lambda: values(components[name.rpartition("/")[2]], components))
    if "anyOf" in schema:
        return st.one_of(*(values(one, components) for one in schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object" if "properties" in schema:
            known = {key: values(one, components) for key, one in schema["properties"].items()}
            must = {key: one for key, one in known.items() if key in schema.get("required", ())}
            return st.fixed_dictionaries(must, optional={key: known[key] for key in known.keys() - must.keys()})
        case "object":
            keys = st.sampled_from(("CPU", "RAM", "GPU", *WORDS))
            return st.dictionaries(keys, values(schema.get("additionalProperties", {}), components), max_size=3)
        case "array":
            return st.lists(values(schema.get("items", {}), components), max_size=3)
        case "string":
            return st.sampled_from(WORDS) | st.text(max_size=8)
        case "integer":
            return st.integers(schema.get("minimum", -3), min(schema.get("maximum", 300), 300))
        case "number":
            return st.floats(0, 0.05)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    return st.sampled_from(JUNK)


def spoiled(value: Any, random: Random) -> Any:
    """The same with something wrong in it: another type, an enormous number, something left out or unknown."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        changed = dict(value)
        key = random.choice(list(changed))
        match random.randrange(6):
            case 0:
                del changed[key]
            case 1:
                changed[random.choice(WORDS)] = random.choice(JUNK)
            case _:
                changed[key] = spoiled(changed[key], random)
        return changed
    if isinstance(value, list) and value and random.random() < 0.8:
        items = list(value)
        where = random.randrange(len(items))
        if random.random() < 0.2:
            return items * random.choice((2, 40))
        items[where] = spoiled(items[where], random)
        return items
    if random.random() < 0.03:
        return deep(random)
    return random.choice(JUNK)


def deep(random: Random) -> Any:
    """Something in something in something."""
    value: Any = random.choice(JUNK)
    for _ in range(random.choice((10, 100, 600))):
        value = [value] if random.random() < 0.5 else {"a": value}
    return value


def text(value: Any, random: Random) -> bytes:
    """It as JSON, now and then with bytes that make no JSON."""
    data = json.dumps(value, ensure_ascii=random.random() < 0.8).encode(errors="surrogatepass")
    match random.randrange(40):
        case 0:
            return data[: random.randrange(len(data) + 1)]
        case 1:
            where = random.randrange(len(data) + 1)
            return data[:where] + random.randbytes(random.choice((1, 3, 50))) + data[where:]
        case 2:
            return data.replace(b'"', b"'", 1)
        case 3:
            return b"[" * random.choice((50, 5_000, 100_000)) + data
        case 4:
            return data + data
        case 5:
            return b'{"jobs": ["1"], "jobs": 3,' + data[1:]
    return data
