"""Default limits."""

from dataclasses import fields

from edge.policy.limits import Limits


def test_every_limit_limits_something():
    limits = Limits()
    assert all(getattr(limits, field.name) > 0 for field in fields(Limits))


def test_the_limits_agree_with_each_other():
    limits = Limits()
    assert limits.field <= limits.field_section
    assert limits.request_line <= limits.field_section
    assert limits.drain_timeout < limits.body_timeout
