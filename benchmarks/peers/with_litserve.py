"""LitServe with one worker process.

python -m benchmarks.peers.with_litserve PORT
"""

import sys

import litserve as ls
import numpy as np
from fastapi import Request, Response

from benchmarks.peers.network import Network, answer

# LitServe reads annotations as values, so they are not postponed here; `Request` and `Response` are what it takes for "any".


class Api(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.network = Network()

    def decode_request(self, request: Request) -> np.ndarray:
        return np.array(request["inputs"], dtype=np.float32)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.network.logits(x)

    def encode_response(self, output: np.ndarray) -> Response:
        return answer(output)


if __name__ == "__main__":
    server = ls.LitServer(Api(), accelerator="cpu", devices=1, workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False, generate_client_file=False
    )
