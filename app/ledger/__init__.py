"""The one way in which value moves: points, budgets, prize stock, payer float.

A transfer is one row: an amount goes from a debit account to a credit account. The sum over all accounts
is therefore zero by construction; no pair of entries can come apart.
"""
