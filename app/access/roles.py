"""Permissions, the roles that hold them, and the acts that ask for them: in code, where a review sees them.

A role is what somebody is at work, and holds no more than that work needs; who wears two hats gets two
roles. The administrator manages accounts and can, by that role alone, neither move money nor approve.
Sources: SEC-01, HQ-06.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum


class Permission(StrEnum):
    """What an account may be allowed to do."""

    ACCOUNT_MANAGE = "account.manage"
    AUDIT_READ = "audit.read"
    PLATFORM_CHANGE = "platform.change"
    OPERATIONS_RUN = "operations.run"
    CATALOGUE_CHANGE = "catalogue.change"
    POLICY_PUBLISH = "policy.publish"
    CODES_ORDER = "codes.order"
    CODES_SHIP = "codes.ship"
    CODES_FREEZE = "codes.freeze"
    CAMPAIGN_EDIT = "campaign.edit"
    CAMPAIGN_START = "campaign.start"
    CAMPAIGN_STOP = "campaign.stop"
    CAMPAIGN_APPROVE = "campaign.approve"
    BUDGET_CHANGE = "budget.change"
    BUDGET_APPROVE = "budget.approve"
    PAYER_CHANGE = "payer.change"
    PAYER_APPROVE = "payer.approve"
    PAYOUT_SETTLE = "payout.settle"
    TAX_REPORT = "tax.report"
    PAYOUT_APPROVE = "payout.approve"
    AWARD_REVIEW = "award.review"
    AWARD_GRANT = "award.grant"
    AWARD_APPROVE = "award.approve"
    GOODS_DELIVER = "goods.deliver"
    RISK_LISTS = "risk.lists"
    RISK_RULES = "risk.rules"
    DIVERSION_DECIDE = "diversion.decide"
    MEMBER_READ_PERSONAL = "member.read_personal"
    MEMBER_CHANGE = "member.change"


class ApprovalKind(StrEnum):
    """What takes a second account."""

    CAMPAIGN_START = "campaign.start"
    CAMPAIGN_CHANGE = "campaign.change"
    BUDGET_IN = "budget.in"
    BUDGET_OUT = "budget.out"
    PAYER_RELEASE = "payer.release"
    BILL_CONCLUSION = "bill.conclusion"
    AWARD_GRANT = "award.grant"


class Role(StrEnum):
    """What somebody is at work; `ROLES` says what each may do."""

    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    ENGINEER = "engineer"
    MARKETING = "marketing"
    FACTORY = "factory"
    FINANCE = "finance"
    APPROVER = "approver"
    RISK = "risk"
    SERVICE = "service"


ROLES: Mapping[Role, frozenset[Permission]] = {
    Role.ADMINISTRATOR: frozenset({Permission.ACCOUNT_MANAGE, Permission.AUDIT_READ}),
    Role.AUDITOR: frozenset({Permission.AUDIT_READ}),
    Role.ENGINEER: frozenset({Permission.PLATFORM_CHANGE, Permission.OPERATIONS_RUN}),
    Role.MARKETING: frozenset(
        {
            Permission.CATALOGUE_CHANGE,
            Permission.POLICY_PUBLISH,
            Permission.CAMPAIGN_EDIT,
            Permission.CAMPAIGN_START,
            Permission.CAMPAIGN_STOP,
        }
    ),
    Role.FACTORY: frozenset({Permission.CODES_ORDER, Permission.CODES_SHIP}),
    Role.FINANCE: frozenset(
        {
            Permission.BUDGET_CHANGE,
            Permission.PAYER_CHANGE,
            Permission.PAYOUT_SETTLE,
            Permission.TAX_REPORT,
        }
    ),
    Role.APPROVER: frozenset(
        {
            Permission.CAMPAIGN_APPROVE,
            Permission.BUDGET_APPROVE,
            Permission.PAYER_APPROVE,
            Permission.PAYOUT_APPROVE,
            Permission.AWARD_APPROVE,
            Permission.CAMPAIGN_STOP,
        }
    ),
    Role.RISK: frozenset(
        {
            Permission.AWARD_REVIEW,
            Permission.RISK_LISTS,
            Permission.RISK_RULES,
            Permission.DIVERSION_DECIDE,
            Permission.CODES_FREEZE,
            Permission.CAMPAIGN_STOP,
        }
    ),
    Role.SERVICE: frozenset(
        {
            Permission.MEMBER_READ_PERSONAL,
            Permission.MEMBER_CHANGE,
            Permission.GOODS_DELIVER,
            Permission.AWARD_GRANT,
        }
    ),
}


class Act(StrEnum):
    """What is written into the audit trail. A value once written never changes its meaning."""

    SIGNED_IN = "session.opened"
    SIGN_IN_REFUSED = "session.refused"
    SIGNED_OUT = "session.closed"
    PASSWORD_CHANGED = "account.password_changed"  # noqa: S105 - the name of an act
    ACCOUNT_CREATED = "account.created"
    ACCOUNT_LOCKED = "account.locked"
    ACCOUNT_UNLOCKED = "account.unlocked"
    ACCOUNT_CLOSED = "account.closed"
    ROLES_CHANGED = "account.roles_changed"
    PASSWORD_RESET = "account.password_reset"  # noqa: S105 - the name of an act
    ACCOUNTS_LISTED = "account.listed"
    AUDIT_READ = "audit.read"
    APP_SAVED = "app.saved"
    APP_RESUMED = "app.resumed"
    ALERT_SETTLED = "alert.settled"
    MESSAGE_REPLAYED = "message.replayed"
    BRAND_ADDED = "brand.added"
    PRODUCT_ADDED = "product.added"
    PLACEMENT_ADDED = "placement.added"
    DEALER_SAVED = "dealer.saved"
    STORE_SAVED = "store.saved"
    STAFF_REGISTERED = "staff.registered"
    STAFF_DISMISSED = "staff.dismissed"
    STAFF_REWARD_SET = "staff.reward_set"
    POLICY_PUBLISHED = "policy.published"
    BATCH_CREATED = "batch.created"
    CODES_PRINTED = "codes.printed"
    CODES_EXPORTED = "codes.exported"
    EVENTS_IMPORTED = "events.imported"
    EVENT_DECLARED_WRONG = "event.declared_wrong"
    CODES_ACTIVATED = "codes.activated"
    CODES_SHIPPED = "codes.shipped"
    CODES_FROZEN = "codes.frozen"
    CODES_UNFROZEN = "codes.unfrozen"
    CAMPAIGN_CREATED = "campaign.created"
    CAMPAIGN_SAVED = "campaign.saved"
    CAMPAIGN_PROPOSED = "campaign.proposed"
    CAMPAIGN_CHANGED = "campaign.changed"
    CAMPAIGN_APPROVED = "campaign.approved"
    CAMPAIGN_STOPPED = "campaign.stopped"
    CAMPAIGN_RESUMED = "campaign.resumed"
    CAMPAIGN_ENDED = "campaign.ended"
    CAMPAIGN_PAYER = "campaign.payer_chosen"
    BUDGET_MOVED = "budget.moved"
    BUDGET_APPROVED = "budget.approved"
    STOCK_MOVED = "stock.moved"
    GOODS_EXPORTED = "goods.exported"
    GOODS_SENT = "goods.sent"
    GOODS_HANDED_OVER = "goods.handed_over"
    GOODS_REOPENED = "goods.reopened"
    VOUCHERS_TAKEN_IN = "vouchers.taken_in"
    VOUCHERS_WITHDRAWN = "vouchers.withdrawn"
    PAYER_SAVED = "payer.saved"
    PAYER_PAUSED = "payer.paused"
    PAYER_RESUMED = "payer.resumed"
    PAYER_APPROVED = "payer.approved"
    PROPOSAL_REFUSED = "proposal.refused"
    PROPOSAL_WITHDRAWN = "proposal.withdrawn"
    BILL_CLOSED = "bill.closed"
    CONCLUSION_PROPOSED = "bill.conclusion_proposed"
    BILL_CONCLUDED = "bill.concluded"
    STATEMENT_ASKED = "statement.asked"
    STATEMENT_PAYER = "statement.payer_set"
    DIFFERENCE_RESOLVED = "difference.resolved"
    TAX_EXPORTED = "tax.exported"
    TAX_REMITTED = "tax.remitted"
    AWARD_RELEASED = "award.released"
    AWARD_REFUSED = "award.refused"
    AWARD_PROPOSED = "award.proposed"
    AWARD_GRANTED = "award.granted"
    LIST_PUT = "list.put"
    LIST_REMOVED = "list.removed"
    RISK_SAVED = "risk.saved"
    RISK_SWITCHED = "risk.switched"
    RISK_MARK_CLEARED = "risk.mark_cleared"
    DIVERSION_DECIDED = "diversion.decided"
    PERSON_FOUND = "person.found"
    PERSON_SHOWN = "person.shown"
    PERSONS_MERGED = "persons.merged"
    PERSONS_UNMERGED = "persons.unmerged"
    CONFLICT_DECIDED = "conflict.decided"
    IDENTIFIER_DEMOTED = "identifier.demoted"
    IDENTIFIER_REINSTATED = "identifier.reinstated"
    TIER_SET = "tier.set"
    IDENTITIES_RECONCILED = "identities.reconciled"
    KEYS_RESEALED = "keys.resealed"
    KEY_RETIRED = "keys.retired"


NEEDS: Mapping[Act, Permission | None] = {
    # Everybody who is signed in, for themselves.
    Act.SIGNED_IN: None,
    Act.SIGN_IN_REFUSED: None,
    Act.SIGNED_OUT: None,
    Act.PASSWORD_CHANGED: None,
    Act.ACCOUNT_CREATED: Permission.ACCOUNT_MANAGE,
    Act.ACCOUNT_LOCKED: Permission.ACCOUNT_MANAGE,
    Act.ACCOUNT_UNLOCKED: Permission.ACCOUNT_MANAGE,
    Act.ACCOUNT_CLOSED: Permission.ACCOUNT_MANAGE,
    Act.ROLES_CHANGED: Permission.ACCOUNT_MANAGE,
    Act.PASSWORD_RESET: Permission.ACCOUNT_MANAGE,
    Act.ACCOUNTS_LISTED: Permission.ACCOUNT_MANAGE,
    Act.AUDIT_READ: Permission.AUDIT_READ,
    Act.APP_SAVED: Permission.PLATFORM_CHANGE,
    Act.APP_RESUMED: Permission.CAMPAIGN_START,
    Act.ALERT_SETTLED: Permission.OPERATIONS_RUN,
    Act.MESSAGE_REPLAYED: Permission.OPERATIONS_RUN,
    Act.BRAND_ADDED: Permission.CATALOGUE_CHANGE,
    Act.PRODUCT_ADDED: Permission.CATALOGUE_CHANGE,
    Act.PLACEMENT_ADDED: Permission.CATALOGUE_CHANGE,
    Act.DEALER_SAVED: Permission.CATALOGUE_CHANGE,
    Act.STORE_SAVED: Permission.CATALOGUE_CHANGE,
    Act.STAFF_REGISTERED: Permission.CATALOGUE_CHANGE,
    Act.STAFF_DISMISSED: Permission.CATALOGUE_CHANGE,
    Act.STAFF_REWARD_SET: Permission.CAMPAIGN_EDIT,
    Act.POLICY_PUBLISHED: Permission.POLICY_PUBLISH,
    Act.BATCH_CREATED: Permission.CODES_ORDER,
    Act.CODES_PRINTED: Permission.CODES_ORDER,
    Act.CODES_EXPORTED: Permission.CODES_ORDER,
    Act.EVENTS_IMPORTED: Permission.CODES_SHIP,
    Act.EVENT_DECLARED_WRONG: Permission.CODES_SHIP,
    Act.CODES_ACTIVATED: Permission.CODES_SHIP,
    Act.CODES_SHIPPED: Permission.CODES_SHIP,
    Act.CODES_FROZEN: Permission.CODES_FREEZE,
    Act.CODES_UNFROZEN: Permission.CODES_FREEZE,
    Act.CAMPAIGN_CREATED: Permission.CAMPAIGN_EDIT,
    Act.CAMPAIGN_SAVED: Permission.CAMPAIGN_EDIT,
    Act.CAMPAIGN_PROPOSED: Permission.CAMPAIGN_START,
    Act.CAMPAIGN_CHANGED: Permission.CAMPAIGN_START,
    Act.CAMPAIGN_APPROVED: Permission.CAMPAIGN_APPROVE,
    Act.CAMPAIGN_STOPPED: Permission.CAMPAIGN_STOP,
    Act.CAMPAIGN_RESUMED: Permission.CAMPAIGN_START,
    Act.CAMPAIGN_ENDED: Permission.CAMPAIGN_START,
    Act.CAMPAIGN_PAYER: Permission.PAYER_CHANGE,
    Act.BUDGET_MOVED: Permission.BUDGET_CHANGE,
    Act.BUDGET_APPROVED: Permission.BUDGET_APPROVE,
    Act.STOCK_MOVED: Permission.BUDGET_CHANGE,
    Act.GOODS_EXPORTED: Permission.GOODS_DELIVER,
    Act.GOODS_SENT: Permission.GOODS_DELIVER,
    Act.GOODS_HANDED_OVER: Permission.GOODS_DELIVER,
    Act.GOODS_REOPENED: Permission.GOODS_DELIVER,
    Act.VOUCHERS_TAKEN_IN: Permission.BUDGET_CHANGE,
    Act.VOUCHERS_WITHDRAWN: Permission.BUDGET_CHANGE,
    Act.PAYER_SAVED: Permission.PAYER_CHANGE,
    Act.PAYER_PAUSED: Permission.PAYER_CHANGE,
    Act.PAYER_RESUMED: Permission.PAYER_CHANGE,
    Act.PAYER_APPROVED: Permission.PAYER_APPROVE,
    # Who may approve it may refuse it, which `app.approving` asks for; who proposed it may withdraw it.
    Act.PROPOSAL_REFUSED: None,
    Act.PROPOSAL_WITHDRAWN: None,
    Act.BILL_CLOSED: Permission.PAYOUT_SETTLE,
    Act.CONCLUSION_PROPOSED: Permission.PAYOUT_SETTLE,
    Act.BILL_CONCLUDED: Permission.PAYOUT_APPROVE,
    Act.STATEMENT_ASKED: Permission.PAYOUT_SETTLE,
    Act.STATEMENT_PAYER: Permission.PAYER_CHANGE,
    Act.DIFFERENCE_RESOLVED: Permission.PAYOUT_SETTLE,
    Act.TAX_EXPORTED: Permission.TAX_REPORT,
    Act.TAX_REMITTED: Permission.TAX_REPORT,
    Act.AWARD_RELEASED: Permission.AWARD_REVIEW,
    Act.AWARD_REFUSED: Permission.AWARD_REVIEW,
    Act.AWARD_PROPOSED: Permission.AWARD_GRANT,
    Act.AWARD_GRANTED: Permission.AWARD_APPROVE,
    Act.LIST_PUT: Permission.RISK_LISTS,
    Act.LIST_REMOVED: Permission.RISK_LISTS,
    Act.RISK_SAVED: Permission.RISK_RULES,
    Act.RISK_SWITCHED: Permission.RISK_RULES,
    Act.RISK_MARK_CLEARED: Permission.RISK_RULES,
    Act.DIVERSION_DECIDED: Permission.DIVERSION_DECIDE,
    Act.PERSON_FOUND: Permission.MEMBER_READ_PERSONAL,
    Act.PERSON_SHOWN: Permission.MEMBER_READ_PERSONAL,
    Act.PERSONS_MERGED: Permission.MEMBER_CHANGE,
    Act.PERSONS_UNMERGED: Permission.MEMBER_CHANGE,
    Act.CONFLICT_DECIDED: Permission.MEMBER_CHANGE,
    Act.IDENTIFIER_DEMOTED: Permission.MEMBER_CHANGE,
    Act.IDENTIFIER_REINSTATED: Permission.MEMBER_CHANGE,
    Act.TIER_SET: Permission.MEMBER_CHANGE,
    Act.IDENTITIES_RECONCILED: Permission.MEMBER_CHANGE,
    Act.KEYS_RESEALED: Permission.PLATFORM_CHANGE,
    Act.KEY_RETIRED: Permission.PLATFORM_CHANGE,
}


APPROVING: Mapping[ApprovalKind, Act] = {
    ApprovalKind.CAMPAIGN_START: Act.CAMPAIGN_APPROVED,
    ApprovalKind.CAMPAIGN_CHANGE: Act.CAMPAIGN_APPROVED,
    ApprovalKind.BUDGET_IN: Act.BUDGET_APPROVED,
    ApprovalKind.BUDGET_OUT: Act.BUDGET_APPROVED,
    ApprovalKind.PAYER_RELEASE: Act.PAYER_APPROVED,
    ApprovalKind.BILL_CONCLUSION: Act.BILL_CONCLUDED,
    ApprovalKind.AWARD_GRANT: Act.AWARD_GRANTED,
}
"""What approving each kind is called in the trail, and so the permission that it takes."""


def permissions(roles: Collection[Role]) -> frozenset[Permission]:
    """Return what somebody with all of `roles` may do."""
    return frozenset().union(*(ROLES[role] for role in roles))
