"""Refusals of the access room."""

from app.kernel.errors import Conflict, Forbidden, Malformed, NotFound, Refused, Unauthenticated


class InvalidAccount(Malformed):
    """A login name, a display name or a set of roles is not one."""

    code = "invalid_account"


class WeakPassword(Malformed):
    """The password is too easy to guess."""

    code = "weak_password"


class UnknownAccount(NotFound):
    """There is no account with this login name."""

    code = "unknown_account"


class AccountExists(Conflict):
    """Another account has this login name, or had it: a name in the trail means one account for ever."""

    code = "account_exists"
    title = "There is such an account already"


class NotTheFirst(Refused):
    """There is an administrator already, who makes the accounts."""

    code = "not_the_first_account"


class LastAdministrator(Refused):
    """Nobody would be left to manage accounts."""

    code = "last_administrator"


class OwnRoles(Refused):
    """Nobody changes their own roles."""

    code = "own_roles"


class NotSignedIn(Unauthenticated):
    """No session, or one that has ended."""

    code = "not_signed_in"


class SignInRefused(Unauthenticated):
    """The name, the password or the state of the account; which of them is not told."""

    code = "sign_in_refused"
    title = "Signing in was refused"


class PasswordChangeNeeded(Forbidden):
    """Somebody else knows the password; nothing else may be done before it is changed."""

    code = "password_change_needed"


class PermissionMissing(Forbidden):
    """No role of the account allows this."""

    code = "permission_missing"


class InvalidApproval(Malformed):
    """A proposal lacks its reason."""

    code = "invalid_approval"


class UnknownApproval(NotFound):
    """There is no such proposal."""

    code = "unknown_approval"


class SecondAccountNeeded(Refused):
    """Whoever proposed something does not decide about it."""

    code = "second_account_needed"


class NotYourProposal(Refused):
    """Only its proposer takes a proposal back."""

    code = "not_your_proposal"


class PayloadChanged(Conflict):
    """What is to be approved is not what was read, or not what was proposed."""

    code = "proposal_changed"


class ApprovalExpired(Conflict):
    """Nobody decided in time."""

    code = "approval_expired"
