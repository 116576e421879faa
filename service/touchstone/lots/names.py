"""Names from outside, made fit to be shown and stored."""

from hashlib import sha256

_MAX_LABEL = 1000
"""Characters that the records keep of a name."""
_MARK = 100
"""Characters given up for what tells a shortened text from another."""
_DIGITS = 12


def printable(text: str) -> str:
    """Return ``text`` with everything escaped that does not show as itself.

    Line breaks would forge rows, direction overrides would disguise names, and
    surrogates (names that are not UTF-8) cannot be written.
    """
    return "".join(
        character if character.isprintable() else f"\\u{ord(character):04x}"
        for character in text
    )


def label(text: str, *, limit: int = _MAX_LABEL) -> str:
    """Return ``text`` printable, in at most ``limit`` characters (100 or more).

    One long name must not refuse its whole lot. What is cut off is told by the SHA-256
    of the whole, so that two names that begin alike stay two.
    """
    shown = printable(text)
    if len(shown) <= limit:
        return shown
    digest = sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{shown[: limit - _MARK]}…{digest[:_DIGITS]}"
