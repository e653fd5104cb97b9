"""What campaigns refuse, by name."""

from collections.abc import Sequence

from app.campaigns.reader import Fault
from app.kernel.errors import Conflict, Forbidden, Malformed, NotFound, Refused
from app.risk.watch import Hit


def _first(faults: Sequence[Fault]) -> str:
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    return f"{faults[0].path or 'the document'}: {faults[0].detail}{more}"


class RulesInvalid(Malformed):
    """A rules document that cannot be read; `faults` lists everything that is wrong with it."""

    code = "campaign_rules_invalid"
    title = "These campaign rules cannot be read"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(_first(faults), errors=[fault.to_json() for fault in faults])


class _RefusedForFaults(Refused):
    """A refusal with a list of reasons, each with the path that it is about."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(_first(faults), errors=[fault.to_json() for fault in faults])


class RulesRefused(_RefusedForFaults):
    """Rules that the law, or the payer's limit, does not allow."""

    code = "campaign_rules_refused"
    title = "These campaign rules are not allowed"


class DisclosureIncomplete(_RefusedForFaults):
    """What must be published before the start is not complete (Interim Provisions, art. 13)."""

    code = "campaign_disclosure_incomplete"
    title = "These campaign rules cannot be published yet"


class PromiseNotBacked(_RefusedForFaults):
    """Stock or budget do not hold what the rules promise: the faults say how much is missing where."""

    code = "campaign_promise_not_backed"
    title = "Stock or budget do not hold what the rules promise"


class OverlapsCampaigns(_RefusedForFaults):
    """Other campaigns are held for the same codes meanwhile: a reason and a second operator are needed.

    The faults name them. A code is drawn in the campaign that started last, so publishing one over another
    takes draws away from rules that shoppers were promised.
    """

    code = "campaign_overlaps"
    title = "Other campaigns are held for the same codes"


class UnknownCampaign(NotFound):
    """There is no such campaign."""

    code = "unknown_campaign"
    title = "There is no such campaign"


class UnknownOutflow(NotFound):
    """No money was proposed to leave this campaign under this reference."""

    code = "unknown_outflow"
    title = "No money was proposed to be moved under this reference"


class NothingPublished(NotFound):
    """The campaign has published no rules yet."""

    code = "campaign_not_published"
    title = "This campaign has published no rules"


class UnknownDraw(NotFound):
    """There is no such draw, or it is somebody else's."""

    code = "unknown_draw"
    title = "There is no such draw"


class InvalidCampaign(Malformed):
    """What was said of the campaign cannot be stored."""

    code = "invalid_campaign"


class InvalidGrant(Malformed):
    """What is to be given by hand cannot be given like this."""

    code = "invalid_grant"
    title = "This cannot be granted"


class GrantedAlready(Conflict):
    """Something was granted under this reference, or by this approval."""

    code = "granted_already"
    title = "This has been granted already"


class CampaignExists(Conflict):
    """The brand has a campaign with this key."""

    code = "campaign_exists"


class WrongState(Conflict):
    """The campaign, or its version, does not stand where this could be done."""

    code = "campaign_state"
    title = "The campaign's state does not allow this"


class NothingToChange(Conflict):
    """No new version is saved, or it says the same as the one in force."""

    code = "campaign_unchanged"
    title = "There is nothing to publish"


class ProposalChanged(Conflict):
    """The proposed version is another one than the approver saw."""

    code = "campaign_proposal_changed"
    title = "The proposal has changed; read it again"


class SecondOperatorNeeded(Forbidden):
    """Somebody else must do this: four eyes."""

    code = "second_operator_needed"
    title = "Another operator must do this"


class CodeNotDrawable(Refused):
    """The code gives no draw now; `outcome` says why (app.codes.outcome)."""

    code = "code_not_drawable"
    title = "This code cannot be drawn"


class NoCampaign(Refused):
    """No campaign of the brand runs for this product now."""

    code = "no_campaign"
    title = "There is no campaign for this product at the moment"


class NotEligible(Refused):
    """The shopper or the code does not meet the campaign's conditions."""

    code = "not_eligible"
    title = "This campaign's conditions are not met"


class DrawCapReached(Refused):
    """The shopper has drawn as often as the rules allow; `cap` is campaign_cap or day_cap."""

    code = "draw_cap_reached"
    title = "You have drawn as often as the rules allow"


class _RefusedByRisk(Refused):
    """A refusal of a draw that looks like abuse; `hit` is what is to be noted once it has rolled back."""

    hit: Hit | None = None


class DrawRefused(_RefusedByRisk):
    """The organiser's published rules against abuse refuse this draw; `reasons` are stable codes."""

    code = "draw_refused"
    title = "This draw is refused"


class VerificationNeeded(_RefusedByRisk):
    """The draw waits for a phone number of the shopper's own; `step` is phone, `reasons` are stable codes."""

    code = "verification_needed"
    title = "Please verify your phone number first"


class CaptchaNeeded(_RefusedByRisk):
    """The draw waits for a captcha; `step` is captcha, `captcha_app_id` what the mini-program opens.

    captcha_refused: a ticket came along, and was no good.
    """

    code = "captcha_needed"
    title = "Please solve a captcha first"


class SoldOut(Refused):
    """No prize can be paid at the moment; the code keeps its chance."""

    code = "campaign_sold_out"
    title = "All prizes are gone for the moment"


class BadHelpLink(Refused):
    """The link was not made here, or its time is over."""

    code = "bad_help_link"
    title = "This link is not good"


class HelpNotWanted(Refused):
    """The award needs no help, or not any more."""

    code = "help_not_wanted"
    title = "This needs no help"


class HelpPaused(Refused):
    """Helping friends is paused in this mini-program; awards that wait for it do not lapse meanwhile."""

    code = "help_paused"
    title = "Helping friends is paused"


class OwnAward(Refused):
    """Nobody helps themselves, with another account neither."""

    code = "own_award"
    title = "This is your own"


class HelpedAlready(Refused):
    """A person helps once in a campaign."""

    code = "helped_already"
    title = "You have helped somebody already"


class StepWanted(Refused):
    """Opening a link is no help: the friend scans a code of their own and draws first (contract 13.7)."""

    code = "step_wanted"
    title = "Scan a code and draw first"
