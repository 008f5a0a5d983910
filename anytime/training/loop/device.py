"""Where a training computes, and how precisely: chosen by what the machine has unless told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from anytime.model_store.nearest import nearest
from anytime.training.errors import BadOption

Precision = Literal["auto", "bf16", "float32"]


@dataclass(frozen=True)
class Device:
    """A torch device, and whether products are computed in bf16 (weights, sums and losses stay in float32)."""

    name: str
    bf16: bool

    def put(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The batch on the device."""
        return tuple(one.to(self.name, non_blocking=True) for one in batch)

    def autocast(self) -> AbstractContextManager[object]:
        """Inside, torch chooses bf16 for what gains by it."""
        return torch.autocast(self.name.partition(":")[0], dtype=torch.bfloat16, enabled=self.bf16)

    def __str__(self) -> str:
        return f"{self.name}, {'bf16' if self.bf16 else 'float32'}"


def choose_device(name: str = "auto", precision: Precision = "auto") -> Device:
    """The first of CUDA, Apple's MPS and the CPU that is there; bf16 where the hardware multiplies it.

    Raises ``BadOption`` for a device that is not there.
    """
    if precision not in get_args(Precision):
        raise BadOption(f"there is no precision {precision!r}; {nearest(precision, get_args(Precision))}")
    there = ["cpu", *(["cuda"] if torch.cuda.is_available() else []),
             *(["mps"] if torch.backends.mps.is_available() else [])]  # fmt: skip
    kind = name.partition(":")[0]
    if name == "auto":
        name = kind = next(one for one in ("cuda", "mps", "cpu") if one in there)
    if kind not in there:
        raise BadOption(f"there is no device {name!r} here; wanted one of {', '.join(there)}, or auto")
    return Device(name, precision == "bf16" or (precision == "auto" and _multiplies_bf16(kind)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, torch computes in one thread: small networks gain little by more, and lose much where others need the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _multiplies_bf16(kind: str) -> bool:
    """On a CPU AVX-512 BF16 or AMX: 1.8 times as fast there as float32, where emulation would be slower."""
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    asks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return kind == "cpu" and any(getattr(torch.cpu, ask, bool)() for ask in asks)
