"""Touchstone verifies the packaging of a product against its brand's references."""

__version__ = "0.1.0"
