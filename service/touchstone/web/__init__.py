"""The HTTP API. Reading order: ``app``, ``api``, ``auth``, ``problems``."""
