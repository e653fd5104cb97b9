"""Saoma: a WeChat membership backend that a consumer brand runs itself."""
