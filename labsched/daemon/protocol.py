"""HTTP as aiohttp speaks it, but for its errors: whoever sends what is no HTTP is answered as all others are."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from labsched.daemon.desk import reply
from labsched.wire.messages import Error

IDLE_S = 30.0  # that a connection is kept between two requests
MAX_WORDS = 1000  # characters that are said of a mistake: it may quote what was sent


class Protocol(web.RequestHandler):
    """One connection to an application's server."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be handled, as JSON; the connection is closed after it."""
        super().handle_error(request, status, exc, message)  # which logs it, and raises where it is too late
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            words = "something went wrong in the daemon: its log says what"
        else:
            said = exc.message if isinstance(exc, HttpProcessingError) else message or ""
            words = f"the request makes no sense: {' '.join(said.split())[:MAX_WORDS]}"
        response = reply(Error(words), status)
        response.force_close()
        return response


def protocols(server: web.Server) -> Callable[[], Protocol]:
    """What makes one for a new connection, of an application that has been set up."""
    handle = server.request_handler

    async def handle_all(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handle(request)
        except web.HTTPException as error:  # of aiohttp's own, before the application has seen the request
            return reply(Error(f"{request.path}: {error.reason.lower()}"), error.status)

    server.request_handler = handle_all
    return partial(
        Protocol,
        server,
        loop=asyncio.get_running_loop(),
        access_log=logging.getLogger("aiohttp.access"),  # which is not enabled for what is no warning
        keepalive_timeout=IDLE_S,
        auto_decompress=False,  # a megabyte may become a gigabyte
    )
