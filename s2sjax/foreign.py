"""Text from outside made safe to print: control characters as codes, long words cut.

Names, commands, corpora, messages and the values of a user's file may hold anything:
control characters that steer a terminal, words of thousands of letters, objects whose
`repr` raises. Stands on nothing.
"""

import re
import unicodedata

_TURNING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}  # bidirectional controls
_LONGEST_LINE = 1500  # letters of a message
_LONGEST = 200  # letters of a word in a message: a path with its line fits


def printable(text: str) -> str:
    r"""The text without characters that steer a terminal or break a line.

    >>> printable("a\tb\x1b[31m"), printable("j’ai été")
    ('a\\tb\\x1b[31m', 'j’ai été')
    """
    if text.isprintable():  # none of them is, and most texts are
        return text
    return "".join(_visible(character) for character in text)


def message(text: str) -> str:
    r"""A message on one line; it and each long word are cut to beginning and end.

    >>> message("no such\nfile: \x07a"), len(message("x" * 5000))
    ('no such file: \\x07a', 200)
    """
    line = re.sub(r"\s*[\r\n]\s*", " ", text.strip())
    line = printable(re.sub(r"\S+", _cut, line))
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE - 401]}…{line[-400:]}"
    return line


def first_line(doc: object) -> str:
    r"""The first line of a docstring as a message; empty where there is none.

    >>> first_line("\n  How many begin right.\n\n  As a share."), first_line(None)
    ('How many begin right.', '')
    """
    return message(doc.strip().partition("\n")[0]) if type(doc) is str else ""


def shown(value: object) -> str:
    """The `repr` of a value on one line, cut; of one that has none, its type.

    >>> shown("many"), shown(10**5000)
    ("'many'", 'an int of about 5000 digits')
    """
    try:
        text = printable(" ".join(repr(value).split()))
    except BaseException as error:  # whatever it pleases a user's class to raise
        if type(error) is KeyboardInterrupt:
            raise
        if type(value) is int:  # Python writes no more than 4300 digits
            return f"an int of about {round(value.bit_length() * 0.30103)} digits"
        return f"an object of the type {type(value).__name__}"
    return text if len(text) <= 60 else text[:59] + "…"


def _visible(character: str) -> str:
    steers = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    if steers or ord(character) in _TURNING:
        return character.encode("unicode_escape", "surrogatepass").decode()
    return character


def _cut(found: re.Match[str]) -> str:
    word = found[0]
    if len(word) <= _LONGEST:
        return word
    return f"{word[: _LONGEST - 81]}…{word[-80:]}"
