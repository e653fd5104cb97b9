"""The mini-program platform: logins, phone numbers, access tokens (platform contracts section 1)."""
