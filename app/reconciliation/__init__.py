"""Reconciliation: WeChat Pay's fund-flow bills against our own book, day by day, payer by payer."""
