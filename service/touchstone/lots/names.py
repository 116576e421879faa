"""Names from outside, made fit to be shown and stored."""


def printable(text: str) -> str:
    """Return ``text`` with everything escaped that does not show as itself.

    Line breaks would forge rows, direction overrides would disguise names, and
    surrogates (names that are not UTF-8) cannot be written.
    """
    return "".join(
        character if character.isprintable() else f"\\u{ord(character):04x}"
        for character in text
    )
