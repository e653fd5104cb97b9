"""A local Tencent over HTTP: mini-program login, phone number, WeChat Pay merchant transfers and their
callbacks.

The sandbox is a stranger to the product. It shares no code with it, keeps its own book of every fen that it
paid to anyone, and is as strict as the platform's contracts are known to be. That is why it can serve as the
platform in tests: a mistake made on one side is not repeated on the other.
"""
