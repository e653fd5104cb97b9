"""The Flask kit that all surfaces share: problems, sessions, idempotency, paging, limits, logs, metrics."""
