"""A bare FastAPI endpoint around one session: the raw body, no model of it, the network on the event loop.

uvicorn benchmarks.peers.with_fastapi:app
"""

from __future__ import annotations

import numpy as np
from fastapi import FastAPI, Request

from benchmarks.peers.network import Network, answer

app = FastAPI()
network = Network()


@app.post("/predict")
async def predict(request: Request) -> dict[str, float]:
    body = await request.json()
    return answer(network.logits(np.array(body["inputs"], dtype=np.float32)))
