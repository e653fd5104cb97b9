"""Clients of WeCom (企业微信)."""
