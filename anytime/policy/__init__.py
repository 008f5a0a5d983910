"""When to stop, what it costs, what a policy would have done: what training evaluates is what the service runs."""

from anytime.policy.answer import Answer, answer_level, choose_answer
from anytime.policy.decide import REASONS, Ahead, Decision, Reason, Spent, decide, limit
from anytime.policy.errors import (
    BudgetTooSmall,
    HeadOutputInvalid,
    PolicyConflict,
    PolicyError,
    PolicyOutOfRange,
    PolicyUnsupported,
    UnknownPolicyField,
)
from anytime.policy.layers import merge
from anytime.policy.outcome import Outcome, Reader, Verdict, read_outcome
from anytime.policy.plan import Leg, Plan, make_plan
from anytime.policy.policy import SILENT, Policy, parse_policy, parse_query
from anytime.policy.replay import Replayed, replay
from anytime.policy.resolve import Resolved, check_default, resolve
from anytime.policy.trace import Trace, TraceError, load_trace
from anytime.policy.walk import Walk

__all__ = [
    "REASONS", "SILENT", "Ahead", "Answer", "BudgetTooSmall", "Decision", "HeadOutputInvalid", "Leg", "Outcome",
    "Plan", "Policy", "PolicyConflict", "PolicyError", "PolicyOutOfRange", "PolicyUnsupported", "Reader", "Reason",
    "Replayed", "Resolved", "Spent", "Trace", "TraceError", "UnknownPolicyField", "Verdict", "Walk", "answer_level",
    "check_default", "choose_answer", "decide", "limit", "load_trace", "make_plan", "merge", "parse_policy",
    "parse_query", "read_outcome", "replay", "resolve",
]  # fmt: skip
