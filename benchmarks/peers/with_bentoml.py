"""BentoML with one worker.

bentoml serve benchmarks.peers.with_bentoml:Mlp
"""

from __future__ import annotations

import bentoml
import numpy as np

from benchmarks.peers.network import Network, answer


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Mlp:
    def __init__(self) -> None:
        self.network = Network()

    @bentoml.api
    async def predict(self, inputs: list[list[float]]) -> dict[str, float]:
        return answer(self.network.logits(np.array(inputs, dtype=np.float32)))
