"""Running ensembles: what exits 1..m said, combined into the answer of exit m, for all m at once.

They see log-probabilities only, whatever made them (paper 001, equations 2 and 4).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

EnsembleKind = Literal["geometric", "additive"]


def geometric(log_p: Tensor, weight: Tensor, log_bias: Tensor) -> Tensor:
    """Equation 2: (N, m, K), (m,), (K,) -> the log of b * prod_j p_j ^ w_j, normalised, (N, K).

    As sums of logarithms and one log-softmax, so that no probability underflows. A larger weight is more trust, though
    the paper says less: it makes the factor sharper.
    """
    return torch.log_softmax((weight.unsqueeze(-1) * log_p).sum(dim=-2) + log_bias, dim=-1)


def additive(log_p: Tensor, weight: Tensor, log_bias: Tensor) -> Tensor:
    """Equation 4: (N, m, K), (m,), (K,) -> the log of (sum_j w_j p_j + b) / Z, (N, K).

    Z normalises the whole sum, b included; the fraction as printed would leave b out. b > 0 keeps the logarithm finite.
    """
    bias = log_bias.exp()
    mixed = (weight.unsqueeze(-1) * log_p.exp()).sum(dim=-2) + bias
    return mixed.log() - mixed.sum(dim=-1, keepdim=True).log()


class RunningEnsemble(nn.Module):
    """For each exit m of ``exits`` its own w_m in R^m and b_m in R^K: row m - 1 of ``omega``, up to m, and of ``beta``.

    w_m = exp(omega_m), over m where ``kind`` is geometric, b_m = exp(beta_m); omega from N(0, 0.01^2), beta 0, so that it
    starts near the plain mean. The upper triangle of ``omega`` is not used, and gets a gradient of 0. Train it in float32:
    autocast would round the products.
    """

    def __init__(self, exits: int, labels: int, kind: EnsembleKind = "geometric") -> None:
        super().__init__()
        self.kind = kind
        self.omega = nn.Parameter(torch.randn(exits, exits) * 0.01)
        self.beta = nn.Parameter(torch.zeros(exits, labels))

    def forward(self, log_p: Tensor) -> Tensor:
        """(N, exits, K) -> log q of every exit, (N, exits, K)."""
        weights = self._weights()
        if self.kind == "geometric":
            return torch.log_softmax(torch.einsum("mj,njk->nmk", weights, log_p) + self.beta, dim=-1)
        mixed = torch.einsum("mj,njk->nmk", weights, log_p.exp()) + self.beta.exp()
        return mixed.log() - mixed.sum(dim=-1, keepdim=True).log()

    def weight(self, exit: int) -> Tensor:
        """w_m, (m,)"""
        return self._weights()[exit - 1, :exit]

    def log_bias(self, exit: int) -> Tensor:
        """ln b_m, (K,)"""
        return self.beta[exit - 1]

    def _weights(self) -> Tensor:
        """Row m - 1 holds w_m, and zeros for the exits that come later."""
        weights = self.omega.exp().tril()
        if self.kind == "additive":
            return weights
        return weights / torch.arange(1, len(weights) + 1, device=weights.device).unsqueeze(1)


class FrozenEnsemble(nn.Module):
    """The ensemble of one exit with its weights as constants: what a served graph holds."""

    weight: Tensor
    log_bias: Tensor

    def __init__(self, running: RunningEnsemble, exit: int) -> None:
        super().__init__()
        self.combine = geometric if running.kind == "geometric" else additive
        self.register_buffer("weight", running.weight(exit).detach().clone())
        self.register_buffer("log_bias", running.log_bias(exit).detach().clone())

    def forward(self, log_p: list[Tensor]) -> Tensor:
        """m times (N, K) -> log q (N, K)"""
        return self.combine(torch.stack(log_p, dim=1), self.weight, self.log_bias)
