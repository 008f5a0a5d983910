"""Small random bundles, one per seed: any stage may read anything written before it, rewrite a name, or restart.

Heads may write votes that later graphs read, a coarse level, commitment and stop. Weights and inputs are small dyadic
fractions and features are clipped, so that float32 rounds nothing and rows in a batch answer exactly as they do alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from anytime.model_store import Bundle, write_bundle
from tests.bundles.graphs import Sketch

WIDTH = 4
LABELS = ("a", "b", "c")
COARSE = ("ab", "c")


def inputs(rows: int, seed: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).integers(-4, 5, (rows, WIDTH)).astype(np.float32)}


def build(folder: Path, seed: int) -> Bundle:
    return _Drawing(seed).build(folder)


class _Drawing:
    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.name = f"drawn-{seed}"
        self.exits = int(self.random.integers(1, 6))
        self.has_levels = self.chance(0.3)
        self.has_commitment = self.chance(0.5)
        self.has_stop = self.chance(0.5)
        self.widths = {"x": WIDTH}
        """Of every name that may be read by now."""
        self.states: dict[str, dict[str, Any]] = {}
        self.files: dict[str, Any] = {}
        if self.chance(0.5):
            self.add_state("memory", WIDTH)["start"] = "zeros"

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    def build(self, folder: Path) -> Bundle:
        stages = [self.stage(k) for k in range(1, self.exits + 1)]
        answer = str(self.random.choice(["latest", "most_confident", "best_validated"]))
        draft = {
            "name": self.name, "created": "2026-01-01T00:00:00Z", "task": "classification",
            "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", WIDTH]}], "labels": list(LABELS),
            "state": list(self.states.values()), "stages": stages, "answer": answer,
            "calibration": self.calibration(),
        }  # fmt: skip
        if self.has_levels:
            fine = {"name": "fine", "labels": list(LABELS), "parent": [0, 0, 1]}
            draft["levels"] = [fine, {"name": "coarse", "labels": list(COARSE)}]
        return write_bundle(folder, draft, self.files)

    def calibration(self) -> dict[str, Any]:
        levels = 1 + self.has_levels
        return {
            "temperature": self.random.choice([0.5, 1.0, 2.0], (self.exits, levels)).tolist(),
            "accuracy": self.random.choice([0.5, 0.6, 0.7, 0.8], self.exits).tolist(),
        }

    def stage(self, k: int) -> dict[str, Any]:
        stage = {}
        if self.chance(0.8):
            reads = self.draw_reads()
            name = str(self.random.choice([*self.states, f"features_{k}"])) if self.chance(0.4) else f"features_{k}"
            self.add_state(name, self.widths.get(name, WIDTH))
            self.files[f"body{k}.onnx"] = self.graph(reads, {"y": self.widths[name]})
            stage["body"] = self.entry(f"body{k}.onnx", reads, {"y": name})
        reads = self.draw_reads()
        writes = {"logits": len(LABELS)}
        writes |= {"logits.coarse": len(COARSE)} if self.has_levels else {}
        writes |= {"commitment": 1} if self.has_commitment else {}
        writes |= {"stop": 1} if self.has_stop and self.chance(0.7) else {}
        names = {name.replace(".", "_"): name for name in writes}
        columns = {name.replace(".", "_"): width for name, width in writes.items()}
        if self.chance(0.4):
            vote = str(self.random.choice(["vote", f"vote_{k}"]))
            self.add_state(vote, WIDTH)
            names["vote"], columns["vote"] = vote, WIDTH
        self.files[f"head{k}.onnx"] = self.graph(reads, columns)
        stage["head"] = self.entry(f"head{k}.onnx", reads, names)
        return stage

    def add_state(self, name: str, width: int) -> dict[str, Any]:
        self.widths[name] = width
        return self.states.setdefault(name, {"name": name, "dtype": "float32", "shape": ["batch", width]})

    def draw_reads(self) -> list[str]:
        known = list(self.widths)
        return list(dict.fromkeys(self.random.choice(known, int(self.random.integers(1, 3)))))

    def entry(self, file: str, reads: list[str], writes: dict[str, str]) -> dict[str, Any]:
        return {"file": file, "reads": {f"in_{name}": str(name) for name in reads}, "writes": writes}

    def graph(self, reads: list[str], writes: dict[str, int]):
        """Each output a clipped sum of products of what is read."""
        sketch = Sketch(**{f"in_{name}": ("float32", ("batch", self.widths[name])) for name in reads})
        for output, columns in writes.items():
            terms = [sketch.op("MatMul", f"in_{name}", self.weights(self.widths[name], columns)) for name in reads]
            total = sketch.op("Sum", *terms, self.weights(1, columns))
            sketch.op("Clip", total, np.float32(-8.0), np.float32(8.0), to=output)
        return sketch.model(**{output: ("float32", ("batch", columns)) for output, columns in writes.items()})

    def weights(self, *shape: int) -> np.ndarray:
        return self.random.choice(np.float32([-1.0, -0.5, 0.0, 0.5, 1.0]), shape)
