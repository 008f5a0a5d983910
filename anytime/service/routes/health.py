"""``/healthz``: the process answers. ``/readyz``: at least one model does. ``/metrics``: Prometheus' text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from anytime.service.catalogue import Catalogue
from anytime.service.reply import dumps

_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


class Health:
    """What probes and Prometheus ask."""

    def __init__(
        self, catalogue: Catalogue, exposition: Callable[[], Awaitable[bytes]], is_stopping: Callable[[], bool]
    ) -> None:
        self._catalogue = catalogue
        self._exposition = exposition
        self._is_stopping = is_stopping

    async def live(self, request: Request) -> Response:
        """200 as long as the event loop turns."""
        return Response(dumps({"live": True}), media_type="application/json")

    async def ready(self, request: Request) -> Response:
        """200 as long as one model serves; bundles that failed their checks are listed with the reason."""
        catalogue = self._catalogue
        ready = catalogue.ready and not self._is_stopping()
        defaults = {name: catalogue.resolve(name, None) for name in catalogue.models}
        body = {
            "ready": ready,
            "live": True,
            "stopping": self._is_stopping(),
            "models": {name: number for name, number in defaults.items() if (name, number) not in catalogue.faults},
            "refused": [
                {"model": model, "version": number, "code": fault.code, "message": fault.message}
                for (model, number), fault in sorted(catalogue.faults.items())
            ],
        }
        return Response(dumps(body), status_code=200 if ready else 503, media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        """What the service has counted, in all of its processes."""
        return Response(await self._exposition(), headers={"content-type": _EXPOSITION})
