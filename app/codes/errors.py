"""What the codes room refuses, each with a stable code."""

from app.kernel.errors import Conflict, Malformed


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
