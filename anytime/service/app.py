"""The composition root: every part made once, started and ended in order, and the routes to them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route, Router

from anytime.model_store import Bundle, Store
from anytime.policy import merge, parse_policy
from anytime.service.auth import key_ring
from anytime.service.catalogue import Catalogue
from anytime.service.engine.admission import Bounds
from anytime.service.engine.engine import Engine
from anytime.service.engine.served import Served
from anytime.service.envelope import App, Envelope, Receive, Scope, Send
from anytime.service.metrics import Metrics
from anytime.service.routes.docs import Docs
from anytime.service.routes.health import Health
from anytime.service.routes.models import Models
from anytime.service.routes.predict import Predict
from anytime.service.settings import Settings
from anytime.service.shelf import Shelf

log = logging.getLogger(__name__)
_PREDICT = re.compile(r"/v1/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?/predict")
"""The paths of the first two routes."""


class Service:
    """All parts of one running service. ``asgi`` is the application; its lifespan starts and ends the rest."""

    def __init__(self, settings: Settings, exposition: Callable[[], Awaitable[bytes]] | None = None) -> None:
        """``exposition``: what ``/metrics`` answers with where this is one process of several; by default its own count."""
        self._settings = settings
        self.metrics = Metrics()
        self._exposition = exposition or self.own_exposition
        self.engine = Engine(settings.workers, Bounds(settings.queue_rows, int(settings.state_bytes)), self.metrics)
        self._default = merge([parse_policy(settings.default_policy)])
        store = Store(settings.store)
        self.shelf = Shelf(
            store,
            int(settings.model_bytes),
            self._serve,
        )
        self.catalogue = Catalogue(store, self.shelf, settings.poll_s)
        self._readers = ThreadPoolExecutor(settings.workers, "reader")
        self.is_stopping = False
        self._gauges()
        self.asgi: App = self._application()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From the first worker to the last: what was started last ends first."""
        try:
            self.engine.start()
            await self.catalogue.start()
            yield
        finally:
            await self.catalogue.close()
            await asyncio.to_thread(self._readers.shutdown, cancel_futures=True)
            await asyncio.to_thread(self.engine.close)

    async def drain(self, is_hurried: Callable[[], bool] = lambda: False) -> None:
        """No new requests; those under way get ``drain_s`` to end, and then an event that says so.

        ``is_hurried``: asked again and again whether to wait no longer.
        """
        self.is_stopping = True
        self.engine.refuse_new()
        clock = asyncio.get_running_loop().time
        until = clock() + self._settings.drain_s
        while self.engine.rows and clock() < until and not is_hurried():  # noqa: ASYNC110  # rows end on other threads
            await asyncio.sleep(0.01)
        self.engine.end_all()

    async def own_exposition(self) -> bytes:
        """What this process has counted. Rendered off the event loop: a long exposition must not delay an answer."""
        return await asyncio.to_thread(self.metrics.exposition)

    def _serve(self, bundle: Bundle) -> Served:
        """A verified bundle made ready; called off the event loop."""
        served = Served(bundle, self._default, self._settings.intra_op_threads, self._settings.warmup_s)
        self.metrics.known(served.name)
        return served

    def _gauges(self) -> None:
        gauges = self.metrics.gauges
        gauges.add("anytime_inflight", "Rows admitted and not ended.", lambda: self.engine.rows)
        gauges.add("anytime_state_bytes", "State reserved for them.", lambda: self.engine.state_bytes)
        gauges.add("anytime_model_bytes", "Estimated memory of all loaded bundles.", lambda: self.shelf.bytes)

    def _application(self) -> App:
        @contextlib.asynccontextmanager
        async def lifespan(app: object) -> AsyncIterator[None]:
            async with self.running():
                yield

        predict = Predict(self.engine, self.catalogue, self._settings, self._readers)
        models = Models(self.catalogue)
        health = Health(self.catalogue, self._exposition, lambda: self.is_stopping)
        docs = Docs(self.catalogue)
        routes = [
            Route("/v1/models/{model}/predict", predict, methods=["POST"]),
            Route("/v1/models/{model}/versions/{version}/predict", predict, methods=["POST"]),
            Route("/v1/models", models.list),
            Route("/v1/models/{model}", models.show),
            Route("/v1/models/{model}/versions/{version}", models.show),
            Route("/healthz", health.live),
            Route("/readyz", health.ready),
            Route("/metrics", health.metrics),
            Route("/openapi.json", docs.document),
            Route("/docs", docs.page),
            Mount("/docs", docs.files),
        ]
        router = Router(routes, lifespan=lifespan, redirect_slashes=False)
        app: App = Envelope(_Ways(predict, router), key_ring(self._settings.api_keys))
        if self._settings.cors_origins:
            app = CORSMiddleware(
                app,
                allow_origins=self._settings.cors_origins,
                allow_methods=["GET", "POST"],
                allow_headers=["*"],
                expose_headers=["x-request-id", "retry-after"],
            )
        return app


class _Ways:
    """To a prediction by one look at the path, for that way must be short; to all else through Starlette's router."""

    def __init__(self, predict: App, router: App) -> None:
        self._predict = predict
        self._router = router

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["method"] == "POST" and not scope.get("root_path"):
            match = _PREDICT.fullmatch(scope["path"])
            if match is not None:
                scope["path_params"] = match.groupdict()
                return self._predict(scope, receive, send)
        return self._router(scope, receive, send)


def create_app(settings: Settings) -> App:
    """The ASGI application of a service with these settings."""
    return Service(settings).asgi
