"""The daemon's log has a traceback where something is wrong with the daemon, and nowhere else."""

import asyncio
import logging

import pytest

from labsched.daemon.noise import Noise


@pytest.mark.parametrize(
    ("error", "said"), [(ValueError(), True), (asyncio.InvalidStateError("invalid state"), False), (OSError(), True)]
)
def test_what_aiohttp_stumbles_over_when_it_stops_is_no_error_of_ours(error: Exception, said: bool) -> None:
    info = (type(error), error, None)
    record = logging.LogRecord("aiohttp.server", logging.ERROR, "", 0, "Unhandled exception", (), info)
    assert Noise().filter(record) is said
