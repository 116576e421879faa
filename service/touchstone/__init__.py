"""Touchstone verifies the packaging of a product against the brand owner's references."""

__version__ = "0.1.0"
