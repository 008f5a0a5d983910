"""Whatever is asked: an answer that fits the schema, or the one shape of errors, and never our own fault."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anytime.policy import Policy
from anytime.service import schema
from tests.bundles import quantised, sequence, ztw
from tests.service.live import Live, assert_refused, events

pytestmark = pytest.mark.timeout(300)
bounded = settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

BODIES = {
    "ztw": {"inputs": ztw.inputs(2)["x"].tolist()},
    "quantised": {"inputs": {"pixels": quantised.inputs(2)["pixels"].tolist()}},
    "sequence": {"inputs": {name: values.tolist() for name, values in sequence.inputs(2).items()}},
}
models = st.sampled_from([*BODIES, "broken", "none"])
numbers = st.one_of(
    st.integers(-3, 6),
    st.integers(-(2**70), 2**70),
    st.floats(0, 1),
    st.floats(),
    st.sampled_from([1e39, 1e308, 1e-320]),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=12))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)
fields = st.one_of(st.sampled_from([*Policy.model_fields, "top", "trace", "stream", "shape"]), st.text(max_size=10))
policies = st.dictionaries(fields, st.one_of(values, st.lists(scalars, min_size=3, max_size=5)), max_size=4)
words = st.one_of(
    numbers.map(str), st.text(max_size=12), st.sampled_from(["null", "true", "", ",", "1,2", "0.5,null,0.7,null", "auto"]),
    st.lists(scalars.map(str), max_size=5).map(",".join),
)  # fmt: skip
tensors = st.one_of(
    values,
    st.fixed_dictionaries({"dtype": st.sampled_from(["float32", "int64", "x"]), "shape": values, "data": values}),
    st.dictionaries(st.sampled_from(["x", "pixels", "ids", "mask", "y"]), values, max_size=3),
    st.lists(numbers, min_size=64, max_size=64).map(lambda row: [[[row[i : i + 8] for i in range(0, 64, 8)]]]),
)
kinds = st.sampled_from(
    [None, "application/json", "application/octet-stream", "image/png", "image/jpeg", "image/webp", "text/plain", "; =",
     "multipart/form-data", "multipart/form-data; boundary=b", "application/octet-stream; shape=1,1,8,8",
     "APPLICATION/JSON;", "application/x-www-form-urlencoded"]
)  # fmt: skip
content = st.one_of(
    st.binary(max_size=200),
    values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60).map(
        lambda data: b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + data + b"\r\n--b--\r\n"
    ),
    st.binary(max_size=60).map(lambda data: b"\x89PNG\r\n\x1a\n" + data),
    st.binary(max_size=60).map(lambda data: b"\xff\xd8\xff" + data),
)


def check(reply: httpx.Response) -> None:
    """An answer, or a refusal that is not our fault; ``model_failed`` is the network's, for what fits and is absurd."""
    if reply.status_code != 200:
        code = reply.json()["error"]["code"]
        assert code != "internal", reply.text
        assert_refused(reply, reply.status_code, code)
        assert reply.status_code < 500 or code in {"model_failed", "bundle_refused", "deadline_before_first_exit",
                                                   "deadline_before_full_depth"}  # fmt: skip
    elif reply.headers["content-type"].startswith("text/event-stream"):
        assert events(reply.text)[-1][0] == "done"
    else:
        assert schema.Reply.model_validate_json(reply.content)


@pytest.fixture(scope="module")
def client(web: Live) -> Any:
    with httpx.Client(base_url=web.url, timeout=60) as client:
        yield client


@bounded
@given(model=models, body=st.one_of(values, st.fixed_dictionaries({"inputs": tensors})))
def test_any_json(model: str, body: Any, client: httpx.Client) -> None:
    """Bodies that may or may not be requests."""
    check(client.post(f"/v1/models/{model}/predict", content=json.dumps(body).encode(), headers=JSON))


JSON = {"Content-Type": "application/json"}


@bounded
@given(model=st.sampled_from(list(BODIES)), policy=policies, more=st.dictionaries(fields, values, max_size=2))
def test_any_policy(model: str, policy: dict[str, Any], more: dict[str, Any], client: httpx.Client) -> None:
    """Tensors that fit under policies and options that may not."""
    body = json.dumps({**BODIES[model], "policy": policy, **more}).encode()
    check(client.post(f"/v1/models/{model}/predict", content=body, headers=JSON))


@bounded
@given(model=st.sampled_from(list(BODIES)), query=st.lists(st.tuples(fields, words), max_size=4))
def test_any_query(model: str, query: list[tuple[str, str]], client: httpx.Client) -> None:
    """Tensors that fit under queries that may not."""
    check(client.post(f"/v1/models/{model}/predict", json=BODIES[model], params=query))


@bounded
@given(model=models, data=content, kind=kinds, query=st.binary(max_size=20))
def test_any_bytes(model: str, data: bytes, kind: str | None, query: bytes, client: httpx.Client) -> None:
    """Bytes under any content type, with any query."""
    headers = {} if kind is None else {"Content-Type": kind}
    check(client.post(f"/v1/models/{model}/predict?{quote(query, safe='=&')}", content=data, headers=headers))


@bounded
@given(path=st.text(max_size=30), method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]))
def test_any_path(path: str, method: str, client: httpx.Client) -> None:
    """Paths that lead nowhere are 404 or 405."""
    reply = client.request(method, f"/v1/models/{quote(path, safe='/')}")
    if reply.status_code != 200:
        assert assert_refused(reply, reply.status_code, reply.json()["error"]["code"])
        assert reply.status_code in {404, 405, 503}
