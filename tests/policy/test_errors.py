"""The errors of a policy."""

from __future__ import annotations

import pytest

from anytime.policy import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UnknownPolicyField, "policy_unknown_field"),
        (errors.PolicyOutOfRange, "policy_out_of_range"),
        (errors.PolicyConflict, "policy_conflict"),
        (errors.PolicyUnsupported, "policy_unsupported"),
        (errors.BudgetTooSmall, "policy_budget_too_small"),
    ],
)
def test_each_fault_of_a_caller_has_a_stable_code(error, code):
    """Every fault that a caller can mend is a ``PolicyError`` with its own code and the field to change."""
    raised = error("max_exit", "too deep")

    assert isinstance(raised, errors.PolicyError)
    assert (raised.code, raised.field, str(raised)) == (code, "max_exit", "too deep")
    assert code in errors.__doc__


def test_a_broken_head_is_not_the_callers_fault():
    """A head that writes NaN is an error of the network, not of the policy."""
    assert errors.HeadOutputInvalid.code == "head_output_invalid"
    assert not issubclass(errors.HeadOutputInvalid, errors.PolicyError)
