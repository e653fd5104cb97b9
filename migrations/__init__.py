"""Schema migrations: numbered, re-runnable steps that import no models."""
