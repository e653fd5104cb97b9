"""Who may do what, as a table."""

from app.access.roles import NEEDS, ROLES, Act, Permission, Role, permissions


def test_every_act_says_what_it_needs_and_every_role_what_it_may() -> None:
    assert set(NEEDS) == set(Act)
    assert set(ROLES) == set(Role)


def test_every_permission_is_held_by_a_role_and_used() -> None:
    assert frozenset().union(*ROLES.values()) == set(Permission)


def test_who_manages_accounts_moves_no_money_and_approves_nothing() -> None:
    """SEC-01: least privilege; an administrator who wants more needs another administrator's hand."""
    held = permissions([Role.ADMINISTRATOR])
    assert held == {Permission.ACCOUNT_MANAGE, Permission.AUDIT_READ}


def test_only_service_reads_personal_data() -> None:
    """SEC-02."""
    readers = {role for role, held in ROLES.items() if Permission.MEMBER_READ_PERSONAL in held}
    assert readers == {Role.SERVICE}


def test_names_for_tax_returns_leave_with_finance_only() -> None:
    """SEC-02, contract 14.4."""
    assert {role for role, held in ROLES.items() if Permission.TAX_REPORT in held} == {Role.FINANCE}


def test_roles_add_up() -> None:
    assert permissions([]) == frozenset()
    both = permissions([Role.FINANCE, Role.FACTORY])
    assert both == ROLES[Role.FINANCE] | ROLES[Role.FACTORY]
