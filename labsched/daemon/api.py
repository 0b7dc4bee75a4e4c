"""The API: the routes, who may come in, and what an error looks like. Each handler answers with a message."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from labsched.daemon.accounting import Accounting
from labsched.daemon.backups import Backups
from labsched.daemon.changes import Changes
from labsched.daemon.desk import PERSON, Desk, reply
from labsched.daemon.metrics import Metrics
from labsched.daemon.noise import Noise
from labsched.daemon.pruning import Pruning
from labsched.daemon.questions import Questions
from labsched.daemon.reload import Reload
from labsched.daemon.streams import Streams
from labsched.daemon.targets import Targets
from labsched.daemon.telling import Telling
from labsched.errors import BadRequest, LabschedError
from labsched.wire import messages as wire

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """The handlers by what they answer to. `questions`, `streams`, `changes` and `reload` have them."""

    def __init__(
        self, desk: Desk, reload: Reload, telling: Telling, arrived: Callable[[asyncio.Transport], None]
    ) -> None:
        self.desk = desk
        self.arrived = arrived  # is told of each request's transport
        self.size = desk.config.limits.request_size
        self.questions = Questions(desk)
        self.streams = Streams(desk)
        self.accounting = Accounting(desk)
        self.metrics = Metrics(desk)
        self.changes = Changes(desk)
        self.backups = Backups(desk, self.streams)
        self.reload = reload
        self.pruning = Pruning(desk, self.streams)
        self.targets = Targets(desk, telling)

    def application(self) -> web.Application:
        """The routes, all under /v1."""
        app = web.Application(client_max_size=self.size, middlewares=[self._guard])
        get: dict[str, Handler] = {
            "daemon": self.questions.daemon,
            "status": self.questions.status,
            "history": self.questions.history,
            "job": self.questions.job,
            "log": self.streams.log,
            "events": self.streams.events,
            "wait": self.questions.wait,
            "pools": self.questions.pools,
            "usage": self.accounting.usage,
            "metrics": self.metrics.metrics,
            "notify": self.targets.every,
            "doctor": self.questions.doctor,
            "backup": self.backups.backup,
            "openapi.json": self.questions.openapi,
        }
        post: dict[str, Handler] = {
            "jobs": self.changes.submit,
            "jobs/edit": self.changes.edit,
            "jobs/{verb}": self.changes.verb,
            "pools/{name}": self.changes.set_pool,
            "config/reload": self.reload.post,
            "notify/add": self.targets.add,
            "notify/remove": self.targets.remove,
            "notify/test": self.targets.test,
            "prune": self.pruning.prune,
        }
        logging.getLogger("aiohttp.server").addFilter(Noise())
        app.add_routes([web.get(f"{wire.API}/{what}", handler, allow_head=False) for what, handler in get.items()])
        app.add_routes([web.post(f"{wire.API}/{what}", handler) for what, handler in post.items()])
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Know who asks, and turn every error into a sentence."""
        try:
            if request.transport is None:
                raise ConnectionResetError("gone before it was answered")
            self.arrived(request.transport)
            request[PERSON] = await self.desk.peers.peer(request.transport.get_extra_info("socket"))
            if request.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise BadRequest("a compressed request is not understood: send it as it is")
            return await handler(request)
        except LabschedError as error:
            return reply(wire.Error(str(error)), error.status)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, web.RequestPayloadError) as error:
            return reply(wire.Error(f"the request makes no sense: {' '.join(str(error).split())}"), 400)
        except web.HTTPRequestEntityTooLarge:
            return reply(wire.Error(f"the request is larger than {self.size} bytes: send fewer jobs at a time"), 413)
        except ConnectionError:  # in the middle of its request: nothing was done, and nobody reads this
            return reply(wire.Error("the request did not come to its end"), 400)
        except web.HTTPException as error:
            return reply(wire.Error(f"{request.path}: {error.reason.lower()}"), error.status)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return reply(wire.Error("something went wrong in the daemon: its log says what"), 500)
