"""The database: column types, engine, transactions, keys. Rooms build their tables on it."""
