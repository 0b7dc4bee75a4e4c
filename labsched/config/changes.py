"""A configuration that is to take the place of another while everything goes on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from labsched.config.schema import Config, keys, sections


@dataclass(frozen=True, slots=True)
class Difference:
    """A key whose value is another; None where it has none. With `fixed`, only a restart of the daemon changes it."""

    key: str
    old: Any
    new: Any
    fixed: bool


def differences(old: Config, new: Config) -> list[Difference]:
    """The keys whose values differ, in the order of the schema, without [pools], which people change as well."""
    return list(_differences(old, new))


def adopt(held: Config, new: Config) -> Config:
    """The new configuration, with the values of the held one where only a restart changes them."""
    return msgspec.structs.replace(
        new,
        **{
            name: msgspec.structs.replace(
                getattr(new, name),
                **{key.name: getattr(getattr(held, name), key.name) for key in keys(name) if key.fixed},
            )
            for name in sections()
        },
    )


def _differences(old: Config, new: Config) -> Iterator[Difference]:
    for section in sections():
        for key in keys(section):
            before, after = getattr(getattr(old, section), key.name), getattr(getattr(new, section), key.name)
            name = f"{section}.{key.name}"
            if isinstance(before, Mapping) and isinstance(after, Mapping):
                for one in dict.fromkeys([*before, *after]):
                    if before.get(one) != after.get(one):
                        yield Difference(f"{name}.{one}", before.get(one), after.get(one), key.fixed)
            elif before != after:
                yield Difference(name, before, after, key.fixed)
