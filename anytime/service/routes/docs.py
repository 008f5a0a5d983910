"""``/openapi.json`` and ``/docs``: the OpenAPI description, and a page to try it that needs nothing from elsewhere."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from swagger_ui_bundle import swagger_ui_path

from anytime.service.catalogue import Catalogue
from anytime.service.openapi import document
from anytime.service.reply import dumps

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Anytime</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>
const show = (spec) => SwaggerUIBundle({
  // This release of Swagger UI shows what OpenAPI 3.1 adds, and yet refuses any version beyond 3.0.
  spec: {...spec, openapi: "3.0.3"},
  dom_id: "#swagger-ui", deepLinking: true, tryItOutEnabled: true, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout",
});
fetch("openapi.json").then((reply) => reply.json()).then(show);
</script>
</body>
</html>
"""


class Docs:
    """Describes the models of the moment: their names are in the document's examples."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.files = StaticFiles(directory=swagger_ui_path)

    async def document(self, request: Request) -> Response:
        return Response(dumps(document(self._catalogue.models)), media_type="application/json")

    async def page(self, request: Request) -> Response:
        return HTMLResponse(_PAGE)
