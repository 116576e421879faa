"""The localiser: where in a photo the package face lies."""
