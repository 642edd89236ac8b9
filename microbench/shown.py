"""Texts from files made safe for a terminal: one line, no control characters, not too long."""

MOST = 400


def shown(text: object, most: int = MOST) -> str:
    """The text with control characters, surrogates and direction marks escaped, cut in its middle to `most` letters."""
    plain = str(text)
    if len(plain) > 4 * most:  # escapes only make it longer
        plain = plain[: 2 * most] + plain[-2 * most :]
    plain = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in plain)
    return plain if len(plain) <= most else f"{plain[: most // 2]} … {plain[len(plain) - most // 2 :]}"
