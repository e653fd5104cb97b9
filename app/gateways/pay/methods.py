"""One TransferGateway for all payers: each pays by the method that it was set up with."""

from collections.abc import Mapping

from app.payouts.interfaces import (
    PayerCredentials,
    PayMethod,
    TransferAnswer,
    TransferGateway,
    TransferNotice,
    TransferRequest,
)


class ByMethod:
    """The TransferGateway that hands each call to the gateway of its payer's method."""

    def __init__(self, gateways: Mapping[PayMethod, TransferGateway]) -> None:
        self._gateways = gateways

    def open(self, request: TransferRequest) -> TransferAnswer:
        """Create the bill, or learn the state of the one that exists with this number."""
        return self._gateways[request.payer.method].open(request)

    def query(self, payer: PayerCredentials, bill_no: str) -> TransferAnswer:
        """Ask for the state of a bill by our number."""
        return self._gateways[payer.method].query(payer, bill_no)

    def cancel(self, payer: PayerCredentials, bill_no: str) -> TransferAnswer:
        """Ask the platform to close a bill that its receiver has not confirmed."""
        return self._gateways[payer.method].cancel(payer, bill_no)

    def parse_callback(
        self, payer: PayerCredentials, headers: Mapping[str, str], body: bytes
    ) -> TransferNotice:
        """Verify and decrypt a callback."""
        return self._gateways[payer.method].parse_callback(payer, headers, body)
