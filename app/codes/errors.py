"""What the codes room refuses, each with a stable code."""

from app.kernel.errors import Conflict, Malformed, NotFound, Refused


class NotACode(Malformed):
    """The text does not have the shape of a code or of a link to one."""

    code = "not_a_code"
    title = "This is not one of our codes"


class CodeAltered(Malformed):
    """The text has the shape of a code, but its check letter is wrong: misread, mistyped or made up."""

    code = "code_altered"
    title = "The code was not read correctly"


class PackBusy(Conflict):
    """Another process is writing print packs into the same folder."""

    code = "pack_busy"
    title = "The print pack is being written"


class InvalidLayout(Malformed):
    """Codes cannot be printed in this layout."""

    code = "invalid_layout"


class UnknownBatch(NotFound):
    """There is no such batch of codes."""

    code = "unknown_batch"


class UnknownScan(NotFound):
    """There is no such scan."""

    code = "unknown_scan"


class InvalidBatch(Malformed):
    """A batch cannot be made from this."""

    code = "invalid_batch"


class InvalidRange(Malformed):
    """The range of codes does not lie in the batch, or what is said of it cannot be stored."""

    code = "invalid_range"


class NoBatchLeft(Refused):
    """All 16,777,215 batch numbers are used."""

    code = "no_batch_left"


class CodeAlreadyDrawn(Refused):
    """The code was used for a draw: it pays out once (CODE-11)."""

    code = "code_already_drawn"
    title = "This code has been used"


class InvalidForeignList(Malformed):
    """A list of foreign codes cannot be taken in like this."""

    code = "invalid_foreign_list"


class GuessableCodes(Refused):
    """The codes of a list can be guessed from one another, and nobody said why they are taken."""

    code = "guessable_codes"


class ImportRuns(Conflict):
    """Another process is importing the same list."""

    code = "import_runs"


class ForeignBatch(Refused):
    """The codes of this batch were printed by somebody else: we have only their digests."""

    code = "foreign_batch"


class InvalidMarketOrder(Malformed):
    """Codes cannot be ordered of WeChat, or activated there, like this."""

    code = "invalid_market_order"


class InvalidMarketFile(Refused):
    """A file of codes from WeChat is not what was ordered, or cannot be decrypted."""

    code = "invalid_market_file"


class InvalidTicket(Refused):
    """The ticket of a scan is unknown, used, too old or somebody else's: scanning again gives a new one."""

    code = "invalid_ticket"
    title = "This scan is no longer valid; scan the code again"


class RangeTaken(Refused):
    """A part of a range was activated at WeChat before."""

    code = "range_taken"


class UnknownMarketOrder(NotFound):
    """There is no such order of codes at WeChat."""

    code = "unknown_market_order"
