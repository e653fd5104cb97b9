"""What campaigns refuse, by name."""

from collections.abc import Sequence

from app.campaigns.reader import Fault
from app.kernel.errors import Malformed


class RulesInvalid(Malformed):
    """A rules document with faults; `faults` lists all of them."""

    code = "campaign_rules_invalid"
    title = "These campaign rules cannot be saved"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        first = self.faults[0] if self.faults else Fault("", "unreadable", "the document cannot be read")
        more = f" and {len(self.faults) - 1} more" if len(self.faults) > 1 else ""
        super().__init__(
            f"{first.path or 'the document'}: {first.detail}{more}",
            errors=[fault.to_json() for fault in self.faults],
        )
