"""Zero Time Waste (Wołczyk et al. 2021): heads that read what the head before said, and ensembles of all so far.

On a frozen backbone, in two phases: heads by ``heads_loss``, then ensembles by ``ensembles_loss`` on their fixed outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from anytime.model_store.nearest import nearest
from anytime.training.errors import BadOption
from anytime.training.methods.ensembles import EnsembleKind, FrozenEnsemble, RunningEnsemble
from anytime.training.models.backbone import Shape
from anytime.training.models.heads import Head, HeadKind, HeadOptions, make_head
from anytime.training.seeding import seeded


@dataclass(frozen=True)
class ZtwOptions:
    """The method, and what its ablations leave out (appendix C).

    ``cascade``: each head but the first reads the logits of the one before; ``stop_gradient``: its loss does not train
    that one; ``layer_norm``: those logits are normalised first, as for ImageNet. ``ensemble``: geometric (equation 2),
    additive (equation 4) or none. ``ensemble_final``: the base network's answer becomes the last ensemble's too, as in
    the authors' code; else the last exit is the base network's, bit for bit. Raises ``BadOption`` where they contradict.
    """

    cascade: bool = True
    stop_gradient: bool = True
    layer_norm: bool = False
    ensemble: EnsembleKind | Literal["none"] = "geometric"
    ensemble_final: bool = False

    def __post_init__(self) -> None:
        known = (*get_args(EnsembleKind), "none")
        if self.ensemble not in known:
            raise BadOption(f"there is no ensemble {self.ensemble!r}; {nearest(self.ensemble, known)}")
        if self.ensemble == "none" and self.ensemble_final:
            raise BadOption(
                "ensemble_final is set and ensemble is 'none'; name an ensemble, or leave the final exit alone"
            )
        if not self.cascade and (self.layer_norm or not self.stop_gradient):
            raise BadOption(
                "layer_norm and stop_gradient are about the cascade, which is off; leave them, or turn it on"
            )


class Ztw(nn.Module):
    """M heads on M features, and M ensembles, or M + 1 with the final exit's. ``ensembles`` is None where there are none."""

    def __init__(
        self, feature_shapes: Sequence[Shape], labels: int, head: HeadOptions | HeadKind = "conv",
        options: ZtwOptions | None = None, *, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.options = options = options or ZtwOptions()
        extras = [labels if options.cascade and index else 0 for index in range(len(feature_shapes))]
        with seeded(seed):
            self.heads = nn.ModuleList(
                make_head(head, shape, labels, extra, layer_norm=options.layer_norm)
                for shape, extra in zip(feature_shapes, extras, strict=True)
            )
            count = len(feature_shapes) + options.ensemble_final
            self.ensembles = None if options.ensemble == "none" else RunningEnsemble(count, labels, options.ensemble)

    def forward(self, features: Sequence[Tensor], base: Tensor) -> list[Tensor]:
        """Equation 1: M features and the base network's logits -> the heads' own logits, and last the base's as given."""
        logits: list[Tensor] = []
        for head, feature in zip(self.heads, features, strict=True):
            before = logits[-1] if self.options.cascade and logits else None
            if before is not None and self.options.stop_gradient:
                before = before.detach()
            logits.append(head(feature, before))
        return [*logits, base]

    def ensemble(self, log_p: Sequence[Tensor]) -> list[Tensor]:
        """The log-probabilities of M + 1 exits, each (N, labels), base's last -> those that the exits answer with."""
        if self.ensembles is None:
            return list(log_p)
        count = len(log_p) - (not self.options.ensemble_final)
        mixed = self.ensembles(torch.stack(list(log_p[:count]), dim=1))
        return [*mixed.unbind(dim=1), *log_p[count:]]

    def answers(self, features: Sequence[Tensor], base: Tensor) -> list[Tensor]:
        """What the exits serve: the ensembles' log-probabilities as logits; the base's own logits where it stands alone."""
        logits = self(features, base)
        if self.ensembles is None:
            return logits
        mixed = self.ensemble([torch.log_softmax(one, dim=1) for one in logits])
        return mixed if self.options.ensemble_final else [*mixed[:-1], base]

    def exit(self, number: int) -> ZtwExit:
        """The graph of exit ``number``, from 1 to M; with ``ensemble_final`` up to M + 1, whose feature is base's logits."""
        return ZtwExit(self, number)


class ZtwExit(nn.Module):
    """One exit as it is served: a head, and its ensemble with constant weights.

    ``inputs`` and ``outputs`` name its tensors in order: ``feature``; ``before``, the ``scores`` of the exit before;
    ``log_p_1`` .. of every earlier exit; then ``logits``, the answer, and what later exits read, ``scores`` and ``log_p``.
    """

    def __init__(self, ztw: Ztw, number: int) -> None:
        super().__init__()
        is_base = number == len(ztw.heads) + 1
        self.head = None if is_base else ztw.heads[number - 1]
        self.ensemble = None if ztw.ensembles is None else FrozenEnsemble(ztw.ensembles, number)
        self.reads_before = isinstance(self.head, Head) and self.head.extra > 0
        earlier = range(1, number) if self.ensemble is not None else ()
        self.inputs = ("feature", *(["before"] if self.reads_before else []), *(f"log_p_{exit}" for exit in earlier))
        scores = ["scores"] if ztw.options.cascade and not is_base else []
        self.outputs = ("logits", *scores, *(["log_p"] if self.ensemble is not None else []))

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """The tensors of ``inputs`` -> those of ``outputs``; scores, logits and log-probabilities are (N, labels)."""
        feature, *log_p = given
        before = log_p.pop(0) if self.reads_before else None
        scores = feature if self.head is None else self.head(feature, before)
        found = {"scores": scores, "logits": scores}
        if self.ensemble is not None:
            found["log_p"] = torch.log_softmax(scores, dim=1)
            found["logits"] = self.ensemble([*log_p, found["log_p"]])
        return tuple(found[name] for name in self.outputs)
