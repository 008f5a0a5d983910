"""A slow and obvious simulator of one row, written from the rules alone: no plan, no walk, no flow, no resolved policy.

It knows a bundle as a list of graphs with names that they read and write, and a policy as the dict that a caller wrote.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median

import numpy as np


class Simulator:
    """``end`` tells how one row ends, as a dict; None where the budget is refused."""

    def __init__(self, manifest, fields, stream, trace):
        self.manifest, self.fields, self.stream, self.trace = manifest, fields, stream, trace
        self.exits = len(manifest.stages)
        self.graphs = []
        for stage in manifest.stages:
            self.graphs += [graph for graph in (stage.body, stage.head) if graph is not None]
        place, self.head_at = -1, []
        for stage in manifest.stages:
            place += 2 if stage.body is not None else 1
            self.head_at.append(place)
        self.full = self.macs(self.needs(self.exits))

    def closure(self, place):
        found = {place}
        for name in self.graphs[place].reads.values():
            writers = [i for i in range(place) if name in self.graphs[i].writes.values()]
            if writers:
                found |= self.closure(writers[-1])
        return found

    def needs(self, exit):
        return self.closure(self.head_at[exit - 1])

    def macs(self, places):
        return sum(self.graphs[i].macs for i in places)

    def threshold(self, rule, exit):
        value = self.fields.get(rule)
        if isinstance(value, list):
            value = value[exit - 1]
        return math.inf if value is None or value == 1 else value

    @property
    def passive(self):
        if self.manifest.answer != "best_validated":
            return set()
        accuracy = self.manifest.calibration.accuracy
        return {k for k in range(2, self.exits + 1) if accuracy[k - 1] <= max(accuracy[: k - 1])}

    # -- what a head says, by the definition ---------------------------------------------------------------------

    def shares(self, row, exit, level):
        name = self.manifest.logits_names[level]
        exp = np.exp(self.trace.outputs[name][row, exit - 1])
        return exp / exp.sum()

    def top(self, row, exit, level):
        return float(self.shares(row, exit, level).max())

    def certainty(self, row, exit, level):
        p = self.shares(row, exit, level)
        return 1.0 + float((p * np.log(p)).sum()) / math.log(len(p))

    def label(self, row, exit, level):
        return int(self.trace.outputs[self.manifest.logits_names[level]][row, exit - 1].argmax())

    def sigmoid(self, name, row, exit):
        return 1.0 / (1.0 + math.exp(-self.trace.outputs[name][row, exit - 1]))

    # -- the rules -----------------------------------------------------------------------------------------------

    @property
    def level(self):
        """A number, or "auto"."""
        name = self.fields.get("level")
        return name if name == "auto" else 0 if name is None else self.manifest.level_names.index(name)

    def rules(self, row, heard):
        """Rule: whether it holds at the last of the exits heard, for the rules asked for, first in the table first."""
        exit = heard[-1]
        levels = range(len(self.manifest.logits_names)) if self.level == "auto" else [self.level]
        finest = levels[0]
        gate = "commitment" not in self.fields or self.sigmoid("commitment", row, exit) > self.threshold(
            "commitment", exit
        )
        held = {}
        if "confidence" in self.fields:
            held["confidence"] = gate and any(
                self.top(row, exit, n) > self.threshold("confidence", exit) for n in levels
            )
        if "entropy" in self.fields:
            held["entropy"] = gate and self.certainty(row, exit, finest) > self.threshold("entropy", exit)
        if "patience" in self.fields:
            agreed = 0
            said = [self.label(row, k, finest) for k in heard if k not in self.passive]
            for before, after in pairwise(said):
                agreed = agreed + 1 if before == after else 0
            held["patience"] = agreed >= self.fields["patience"]
        if "commitment" in self.fields and "confidence" not in self.fields and "entropy" not in self.fields:
            held["commitment"] = gate
        if "learned" in self.fields:
            held["learned"] = self.sigmoid("stop", row, exit) > self.threshold("learned", exit)
        return held

    def fired(self, row, heard):
        if heard[-1] < self.fields.get("min_exit", 1) or heard[-1] in self.passive:
            return None
        held = self.rules(row, heard)
        if not held or (self.fields.get("combine") == "all" and not all(held.values())):
            return None
        return next((name for name, holds in held.items() if holds), None)

    def may_fire(self, exit):
        """Whether some row could be stopped by a rule here."""
        if exit < self.fields.get("min_exit", 1) or exit in self.passive:
            return False
        gate = "commitment" not in self.fields or self.threshold("commitment", exit) < math.inf
        can = [
            gate and self.threshold(rule, exit) < math.inf for rule in ("confidence", "entropy") if rule in self.fields
        ]
        if "patience" in self.fields:
            can.append(len([k for k in range(1, exit + 1) if k not in self.passive]) >= self.fields["patience"] + 1)
        if "commitment" in self.fields and "confidence" not in self.fields and "entropy" not in self.fields:
            can.append(gate)
        if "learned" in self.fields:
            can.append(self.threshold("learned", exit) < math.inf)
        return bool(can) and (all(can) if self.fields.get("combine") == "all" else any(can))

    # -- the way -------------------------------------------------------------------------------------------------

    def consulted(self):
        """The exits whose heads somebody needs to hear."""
        permitted = [k for k in range(1, self.fields.get("max_exit", self.exits) + 1) if k not in self.passive]
        if self.stream:
            return permitted, set(range(1, self.fields.get("max_exit", self.exits) + 1))
        if "deadline_ms" in self.fields or "max_ms" in self.fields:
            return permitted, set(permitted)
        firing = [k for k in permitted if self.may_fire(k)]
        needed = {*firing, permitted[-1]}
        heard_by = [k for k in permitted if k <= (firing or [0])[-1]]
        if "patience" in self.fields and len(heard_by) > self.fields["patience"]:
            needed |= set(heard_by)
        if self.manifest.answer == "most_confident":
            needed |= {k for k in permitted if k >= self.fields.get("min_exit", 1)}
        return permitted, needed

    def way(self):
        """(exits to run in order, whether the last of what was wanted is beyond the budget); None if nothing fits."""
        permitted, wanted = self.consulted()
        budgets = [self.fields["max_macs"]] if "max_macs" in self.fields else []
        if "max_cost" in self.fields:
            budgets.append(self.fields["max_cost"] * self.full * (1 + 1e-12))
        if not budgets:
            return sorted(wanted), False
        run, done = [], set()
        for exit in sorted(wanted, key=lambda k: (k in self.passive, k)):
            if self.macs(done | self.needs(exit)) <= min(budgets):
                run.append(exit)
                done |= self.needs(exit)
        deepest = max((k for k in run if k in permitted), default=0)
        beyond = [k for k in permitted if k > deepest and self.macs(done | self.needs(k)) <= min(budgets)]
        run += beyond[-1:]
        if not set(run) & set(permitted):
            return None
        return sorted(set(run)), max(wanted) not in run

    def end(self, row):
        way = self.way()
        if way is None:
            return None
        run, refused = way
        done, heard, spent = [], [], 0.0
        own = self.trace.ms[row]
        deadline = self.fields.get("deadline_ms", math.inf)
        for exit in run:
            new = sorted(self.needs(exit) - set(done))
            takes = sum(own[new])
            usually = sum(median(self.trace.ms[:, i]) for i in new)
            if heard and spent + usually > self.fields.get("max_ms", math.inf):
                return self.ended(row, heard, done, spent, "budget")
            if heard and spent + takes > deadline:
                return self.ended(row, heard, done, spent, "deadline")
            if not heard and takes > deadline:
                return {"exit": 0, "index": -1, "reason": "deadline"}
            done += new
            spent += takes
            heard.append(exit)
            rule = self.fired(row, heard)
            if rule:
                return self.ended(row, heard, done, spent, rule, fired=True)
        over = "max_exit" if self.fields.get("max_exit", self.exits) < self.exits else "full_depth"
        return self.ended(row, heard, done, spent, "budget" if refused else over)

    def ended(self, row, heard, done, spent, reason, fired=False):
        exit = heard[-1] if fired else self.chosen(row, heard)
        level = self.level
        if level == "auto":
            names = range(len(self.manifest.logits_names))
            passing = [n for n in names if self.top(row, exit, n) > self.threshold("confidence", exit)]
            level = passing[0] if passing else 0 if fired else names[-1]
        return {
            "exit": exit,
            "depth": max(k for k in range(1, self.exits + 1) if self.head_at[k - 1] in done),
            "index": self.label(row, exit, level),
            "level": level,
            "reason": reason,
            "cost": self.macs(done) / self.full,
            "compute_ms": spent,
        }

    def chosen(self, row, heard):
        if self.manifest.answer == "latest":
            return heard[-1]
        if self.manifest.answer == "best_validated":
            return max(k for k in heard if k not in self.passive)
        allowed = [k for k in heard if k >= self.fields.get("min_exit", 1)] or heard
        level = 0 if self.level == "auto" else self.level
        by_entropy = "entropy" in self.fields and "confidence" not in self.fields
        value = self.certainty if by_entropy else self.top
        best = max(value(row, k, level) for k in allowed)
        return max(k for k in allowed if value(row, k, level) > best - 1e-12)
