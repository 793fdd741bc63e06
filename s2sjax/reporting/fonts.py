"""Fonts for the characters that a picture shows, of those that the system has."""

import functools
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from s2sjax.reporting.screen import Screen

# What has no shape of its own: controls, joiners, blanks, and lone surrogates.
_SHAPELESS = ("Cc", "Cf", "Cs", "Cn", "Zs", "Zl", "Zp")


def choose(figure: Figure) -> set[str]:
    """Gives the texts of a figure fonts that have their characters.

    The first font is that of the style; others fill in for what it lacks, those that
    have the most of it first.

    Returns:
      The characters that no installed font has.
    """
    texts = texts_of(figure)
    shown = {character for text in texts for character in text.get_text()}
    families, missing = _covering(
        [c for c in shown if unicodedata.category(c) not in _SHAPELESS]
    )
    for text in texts:
        text.set_fontfamily(families)
    return missing


def texts_of(figure: Figure) -> list[Text]:
    """All texts in a figure, labels of axes and legends among them."""
    return [artist for artist in figure.findobj() if isinstance(artist, Text)]


def _covering(characters: Iterable[str]) -> tuple[list[str], set[str]]:
    families = list(matplotlib.rcParams["font.family"])
    missing = set(characters)
    for family in families:
        missing -= _characters(family)
    others = _installed() if missing else []
    while missing and others:
        best = max(others, key=lambda family: len(missing & _characters(family)))
        if not missing & _characters(best):
            break
        families.append(best)
        missing -= _characters(best)
    return families, missing


def _installed() -> list[str]:
    """Families of upright scalable fonts; of equally good ones a plain one is first."""
    families = {
        font.name
        for font in font_manager.fontManager.ttflist
        if (font.style, font.size) == ("normal", "scalable")
        and not font.name.startswith("Last Resort")
    }
    return sorted(families, key=lambda name: ("Sans" not in name, len(name), name))


@functools.lru_cache(256)
def _characters(family: str) -> frozenset[str]:
    """What a family has; nothing where it is not installed or cannot be read."""
    wanted = font_manager.FontProperties(family=[family])
    try:
        path = font_manager.findfont(wanted, fallback_to_default=family in _GENERIC)
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except (OSError, RuntimeError, ValueError):
        return frozenset()


_GENERIC = ("serif", "sans-serif", "cursive", "fantasy", "monospace")


def say_missing(characters: set[str], path: Path) -> None:
    """Prints one line that names the scripts of characters that no font has."""
    scripts: dict[str, str] = {}
    for character in sorted(characters):
        scripts.setdefault(_script(character), f"U+{ord(character):04X}")
    if scripts:
        listed = ", ".join(f"{name} ({code})" for name, code in scripts.items())
        Screen(sys.stderr).line(
            f"{path}: no installed font has the characters of {listed}; boxes stand "
            f"for them until one that has is installed, e.g. of Google's Noto fonts"
        )


def _script(character: str) -> str:
    """The name of a character's script.

    >>> [_script(character) for character in "\u0915\u17ff\u6f22\u2603\ue000"]
    ['Devanagari', 'unnamed characters', 'CJK', 'symbols', 'unnamed characters']
    """
    name = unicodedata.name(character, "")
    if not name:
        return "unnamed characters"
    if unicodedata.category(character)[0] not in "LMN":
        return "symbols"
    first = name.split()[0]
    return first if first == "CJK" else first.capitalize()
