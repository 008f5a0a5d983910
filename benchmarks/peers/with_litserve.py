"""LitServe with one worker process.

python -m benchmarks.peers.with_litserve PORT
"""

import sys

import litserve as ls
import numpy as np

from benchmarks.peers.network import Network, answer


class Api(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.network = Network()

    # LitServe reads these two annotations and has FastAPI check against them: left out, anything goes, which is faster.
    def decode_request(self, request):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        return np.array(request["inputs"], dtype=np.float32)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.network.logits(x)

    def encode_response(self, output: np.ndarray):  # type: ignore[no-untyped-def]  # noqa: ANN201
        return answer(output)


def main(port: str) -> None:
    server = ls.LitServer(Api(), accelerator="cpu", devices=1, workers_per_device=1)
    server.run(host="127.0.0.1", port=int(port), log_level="warning", access_log=False, generate_client_file=False)


if __name__ == "__main__":
    main(sys.argv[1])
