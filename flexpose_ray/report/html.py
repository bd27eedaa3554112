"""What all pages share: the frame, sections, tiles of numbers, the line of versions. A page loads nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from flexpose_ray.report.style import CSS

CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(title: str, parts: Iterable[str], css: str = "") -> str:
    """A complete HTML file.

    Args:
        title: plain text.
        parts: HTML; empty ones are left out.
        css: rules of this page alone.
    """
    body = "\n".join(part for part in parts if part)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{CSP}">\n<style>{CSS}{css}</style>\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def section(heading: str, lead: str, body: str) -> str:
    """A section of a page; all three are HTML, ``lead`` may be empty."""
    return f"<section>\n<h2>{heading}</h2>\n{f'<p>{lead}</p>' if lead else ''}\n{body}\n</section>"


def tiles(numbers: list[tuple[str, str]]) -> str:
    """Large numbers with what they count; "" where there are none."""
    shown = "".join(f"<div><b>{escape(value)}</b><span>{escape(words)}</span></div>" for value, words in numbers)
    return f'<div class="numbers">{shown}</div>\n' if shown else ""


def footer(versions: Mapping[str, str], lead: str = "") -> str:
    """The end of a page: the versions that its numbers depend on."""
    line = " · ".join(f"{escape(name)} {escape(number)}" for name, number in versions.items())
    return f"<footer>{f'<p>{lead}</p>' if lead else ''}<p>{line}</p></footer>"


def duration(seconds: float) -> str:
    """A time for people to read: 4.2 s, 26 min, 1 h 56 min."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
