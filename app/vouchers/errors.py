"""Refusals of vouchers."""

from app.kernel.errors import Malformed, Refused


class BadVoucherFile(Malformed):
    """A file of codes cannot be read as it is; `errors` names lines, never what stands in them."""

    code = "bad_voucher_file"
    title = "The file of codes is not right"


class BatchKnown(Refused):
    """The prize has had a batch under this reference."""

    code = "voucher_batch_known"
    title = "The reference has been used"


class VouchersOut(Refused):
    """No code of this prize can be handed out now; the organiser is told."""

    code = "vouchers_out"
    title = "There is no code to hand out now"


class TooFewVouchers(Refused):
    """Fewer codes are free than were to be withdrawn."""

    code = "too_few_vouchers"
    title = "Fewer codes are free"
