"""Draws the pictures of the catalogue as SVG: a tile with initials for a maker, a pictogram of its kind for a product. Pure."""

from __future__ import annotations

import hashlib
from html import escape

from app.core.catalog import Brand, Product

_KEYS = (
    '<rect x="30" y="86" width="140" height="56" rx="6"/>'
    '<path d="M50 86v56m20-56v56m20-56v56m20-56v56m20-56v56m20-56v56"/><path d="M44 68h60m20 0h32"/>'
)
_DRUMS = '<ellipse cx="100" cy="96" rx="52" ry="16"/><path d="M48 96v40c0 9 23 16 52 16s52-7 52-16V96M40 52l44 40m76-40-44 40"/>'
_BOX = (
    '<rect x="36" y="60" width="128" height="84" rx="8"/><circle cx="66" cy="92" r="12"/>'
    '<circle cx="100" cy="92" r="12"/><circle cx="134" cy="92" r="12"/><path d="M54 124h92"/>'
)
_MICROPHONE = '<rect x="78" y="36" width="44" height="76" rx="22"/><path d="M62 92c0 50 76 50 76 0M100 130v28m-26 0h52"/>'
_SPEAKER = (
    '<rect x="56" y="32" width="88" height="136" rx="8"/><circle cx="100" cy="122" r="30"/>'
    '<circle cx="100" cy="122" r="9"/><circle cx="100" cy="62" r="14"/>'
)
_GUITAR = (
    ""
    '<path d="M118 82 164 36m-8-8 16 16M92 84c-22-12-60 12-50 44 8 28 44 40 64 20 12-12 2-22 10-32 8-8 14-12 8-22-6'
    '-12-20-4-32-10Z"/>'
    '<circle cx="86" cy="116" r="13"/>'
)
_DISC = '<circle cx="100" cy="100" r="62"/><circle cx="100" cy="100" r="22"/><circle cx="100" cy="100" r="4"/><path d="m140 44 12 60"/>'
_HEADPHONES = (
    '<path d="M46 116v-14a54 54 0 0 1 108 0v14"/><rect x="38" y="112" width="26" height="44" rx="10"/>'
    '<rect x="136" y="112" width="26" height="44" rx="10"/>'
)
_PICTOGRAMS = {
    **dict.fromkeys(("Synthesizer", "Stage Piano", "Digital Piano", "Keyboard", "MIDI Controller"), _KEYS),
    **dict.fromkeys(("Electronic Drums", "Acoustic Drums", "Percussion", "Drum Hardware"), _DRUMS),
    **dict.fromkeys(("Microphone", "Wireless System"), _MICROPHONE),
    **dict.fromkeys(("Studio Monitor", "Loudspeaker", "Guitar Amplifier", "Bass Amplifier"), _SPEAKER),
    **dict.fromkeys(("Electric Guitar", "Acoustic Guitar", "Electric Bass"), _GUITAR),
    **dict.fromkeys(("DJ Controller", "Turntable", "Cymbals"), _DISC),
    "Headphones": _HEADPHONES,
}


def _hue(text: str) -> int:
    """A colour of its own for each name, the same everywhere."""
    return hashlib.sha256(text.encode()).digest()[0] * 360 // 256


def _tile(title: str, hue: int, inside: str) -> str:
    back = f'<rect width="200" height="200" rx="24" fill="hsl({hue} 45% 92%)"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200" role="img"><title>{escape(title)}</title>{back}{inside}</svg>'


def brand(maker: Brand) -> str:
    """A maker's tile."""
    hue, words = _hue(maker.id), maker.name.replace("-", " ").split()
    initials = escape((words[0][0] + words[1][0] if len(words) > 1 else maker.name[:2]).upper())
    look = f'font-family="sans-serif" font-size="84" font-weight="700" text-anchor="middle" fill="hsl({hue} 60% 30%)"'
    return _tile(maker.name, hue, f'<text x="100" y="128" {look}>{initials}</text>')


def product(item: Product, maker: Brand) -> str:
    """A product's pictogram in its maker's colour."""
    hue = _hue(maker.id)
    lines = f'<g fill="none" stroke="hsl({hue} 60% 30%)" stroke-width="7" stroke-linecap="round" stroke-linejoin="round">'
    return _tile(f"{maker.name} {item.name}", hue, f"{lines}{_PICTOGRAMS.get(item.category, _BOX)}</g>")
