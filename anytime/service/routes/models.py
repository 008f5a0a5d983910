"""``GET /v1/models[/{model}[/versions/{version}]]``: what is served, what each exit costs, and how good it is."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from anytime.service.catalogue import Catalogue
from anytime.service.engine.served import Served
from anytime.service.reply import dumps

_LOAD_WAIT_S = 60.0


class Models:
    """The read-only view of the catalogue."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def list(self, request: Request) -> Response:
        """Every model of the store, whether or not it is in memory."""
        return _json({"models": [self._entry(name) for name in self._catalogue.models]})

    async def show(self, request: Request) -> Response:
        """One version, by default the one that a request without a version gets; loads it if need be."""
        model, reference = request.path_params["model"], request.path_params.get("version")
        served = await self._catalogue.acquire(model, reference, time.perf_counter() + _LOAD_WAIT_S)
        return _json({**self._entry(model), **describe(served)})

    def _entry(self, name: str) -> dict[str, Any]:
        catalogue = self._catalogue
        faults = {str(number): fault.code for (model, number), fault in catalogue.faults.items() if model == name}
        versions = catalogue.versions(name)
        return {
            "name": name,
            "version": catalogue.resolve(name, None),
            "versions": list(versions),
            "aliases": dict(catalogue.aliases(name)),
            "loaded": [number for number in versions if catalogue.loaded(name, number)],
            "refused": faults,
        }


def describe(served: Served) -> dict[str, Any]:
    """What a client must know of a version: its inputs, labels, exits and operating points."""
    manifest = served.manifest
    calibration = manifest.calibration
    return {
        "version": manifest.version,
        "method": manifest.method,
        "created": manifest.created.isoformat(),
        "task": manifest.task,
        "inputs": [entry.model_dump(mode="json") for entry in manifest.inputs],
        "axes": {name: size.model_dump() for name, size in manifest.axes.items()},
        "labels": list(manifest.labels),
        "levels": [level.model_dump(mode="json") for level in manifest.levels] if manifest.levels else None,
        "answer": manifest.answer,
        "macs_full": served.flow.macs_full,
        "base_macs": manifest.base_macs,
        "exits": [_exit(served, number) for number in range(1, manifest.exits + 1)],
        "default_policy": calibration.default_policy if calibration else None,
        "operating_points": [point.model_dump(mode="json") for point in calibration.operating_points] if calibration else [],
    }  # fmt: skip


def _exit(served: Served, number: int) -> dict[str, Any]:
    flow, calibration = served.flow, served.manifest.calibration
    macs = flow.macs(flow.needs(number))
    accuracy = calibration.accuracy if calibration else None
    return {
        "exit": number,
        "macs": macs,
        "cost": macs / flow.macs_full,
        "ms": round(served.exit_ms(number), 4),
        "accuracy": accuracy[number - 1] if accuracy else None,
        "outputs": sorted(set(served.manifest.stages[number - 1].head.writes.values()) & served.manifest.head_outputs),
    }


def _json(value: object) -> Response:
    return Response(dumps(value), media_type="application/json")
