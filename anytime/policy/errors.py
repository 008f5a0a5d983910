"""What can be wrong with a policy.

PolicyError
+-- UnknownPolicyField       policy_unknown_field    not a field; names the nearest one
+-- PolicyOutOfRange         policy_out_of_range     wrong type, out of range, or not one entry per exit
+-- PolicyConflict           policy_conflict         fields that exclude each other
+-- PolicyUnsupported        policy_unsupported      the bundle has no such head, level or operating point
+-- BudgetTooSmall           policy_budget_too_small below the cheapest permitted exit
HeadOutputInvalid            head_output_invalid     a head said NaN: the network's fault, not the caller's
"""

from __future__ import annotations


class PolicyError(ValueError):
    """A policy that cannot be followed; ``field`` is the one to change."""

    code = "policy_error"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class UnknownPolicyField(PolicyError):
    code = "policy_unknown_field"


class PolicyOutOfRange(PolicyError):
    code = "policy_out_of_range"


class PolicyConflict(PolicyError):
    code = "policy_conflict"


class PolicyUnsupported(PolicyError):
    code = "policy_unsupported"


class BudgetTooSmall(PolicyError):
    code = "policy_budget_too_small"


class HeadOutputInvalid(ArithmeticError):
    code = "head_output_invalid"
