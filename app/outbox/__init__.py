"""How work survives: facts and effects leave the transaction as rows, callbacks come in as rows.

No network call happens inside a transaction. A message is enqueued in the transaction of what it follows
from; the drain loop claims it under a lease, prepares, commits, calls, and settles in a second
transaction. Finished rows leave the hot table.
"""
