"""Filters: a value goes in, another one comes out, and nothing else happens."""

from flowloom import filter


@filter
def shorten(text: str, length: int) -> str:
    """Return whole words of a text, as many as fit."""
    words: list[str] = []
    for word in text.split():
        if len(" ".join([*words, word])) > length:
            break
        words.append(word)
    return " ".join(words)


@filter
def titled(text: str) -> str:
    """Return a text with a capital at its beginning."""
    return text[:1].upper() + text[1:]
