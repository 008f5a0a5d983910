"""The description and the page to try it, in a real browser without a network."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from openapi_spec_validator import validate

from tests.programs import need
from tests.service.live import Live


def test_the_document(web: Live) -> None:
    """It is valid OpenAPI and offers the models that are served."""
    document = web.get("/openapi.json").json()
    validate(document)
    (model,) = document["paths"]["/v1/models/{model}/predict"]["parameters"]
    assert set(model["examples"]) >= {"spinner", "quantised"}


def test_every_route_is_described(web: Live) -> None:
    """What the document describes is there, and nothing else but the page itself."""
    described = set(web.get("/openapi.json").json()["paths"])
    for path in described:
        filled = path.replace("{model}", "spinner").replace("{version}", "1")
        assert web.get(filled).status_code in {200, 405}
    assert described >= {"/healthz", "/readyz", "/metrics", "/v1/models"}


def test_the_page_needs_nothing_from_elsewhere(web: Live) -> None:
    """Every address in the page is on this server, and it is there."""
    page = web.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "://" not in page.text
    for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert web.get(f"/{address}").status_code == 200


def test_the_page_in_a_browser(web: Live, tmp_path: Path) -> None:
    """Chromium, cut off from every other host, shows the operations and a model's name, and no error."""
    command = [
        need("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        f"--user-data-dir={tmp_path}", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--virtual-time-budget=20000", "--dump-dom", f"{web.url}/docs",
    ]  # fmt: skip
    page = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
    for operation in ("predict", "predictVersion", "listModels", "showModel", "live", "ready", "metrics"):
        assert f"-{operation}" in page, operation
    assert "/v1/models/{model}" in page.replace("<wbr>", "").replace("\u200b", "")
    assert "Unable to render" not in page
    assert "Failed to load" not in page
    assert "validator.swagger.io" not in page
