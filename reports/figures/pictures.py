"""Plots as parts of a page: SVG inlined, or a bitmap if the SVG is too large."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from markupsafe import Markup, escape

LARGEST_SVG = 250_000
"""Maximum size of an inlined SVG in bytes; a larger one is replaced by its bitmap."""

PIXELS_PER_INCH = 82
"""Scale of figures on the page: two of one panel fit side by side, and their text is as large as captions."""

LARGEST_HALF = 700
"""Maximum width in pixels of a picture in one of two columns."""

BITMAP_DPI = 150
BANDS = "with 95 % bands; the dashed line is the clean score."
CAPTIONS = {
    "degradation_eps": f"Score against the attack budget, {BANDS}",
    "degradation_factor": f"Score against the factor of a perturbation, {BANDS}",
    "distribution": "Episodes: clean, every attack at its largest budget, the worst perturbation; boxes are quartiles.",
    "ladder": "Mean score under each attack of one budget, with 95 % intervals; the dashed line is the clean score. "
    "The lowest rung is worst, if it was evaluated: the chosen attack on fresh episodes.",
    "sensors": "Drop of the score below clean under attacks on single sensors, with 95 % intervals; the dashed line is "
    "the same attack on all sensors.",
    "profile": "Performance profiles: the share of episodes that exceed a score.",
}


def pictures(plots: Mapping[str, bytes]) -> list[tuple[str, Markup]]:
    """Caption and picture of each plot: its SVG, or its bitmap if the SVG is too large."""
    pairs = []
    for stem in dict.fromkeys(Path(name).stem for name in plots):
        caption = _caption(stem)
        svg, png = plots.get(f"{stem}.svg"), plots.get(f"{stem}.png")
        if svg is not None and (png is None or len(svg) <= LARGEST_SVG):
            pairs.append((caption, _drawing(svg.decode(), caption, repaint=not stem.startswith("heatmap"))))
        elif png is not None:
            image = Markup('<img alt="{}" {}style="--width: {:.0f}px" src="data:image/png;base64,{}">')
            width = int.from_bytes(png[16:20]) / BITMAP_DPI * PIXELS_PER_INCH  # a PNG begins with its size
            wide = Markup('class="wide" ') if width > LARGEST_HALF else ""
            pairs.append((caption, image.format(caption, wide, width, base64.b64encode(png).decode())))
    return pairs


def _caption(stem: str) -> str:
    kind, _, names = stem.partition("_")
    if kind == "heatmap":
        return f"Mean over the grid of {' and '.join(unquote(names).split('_'))}; the nominal cell is outlined."
    return CAPTIONS.get(stem, stem.replace("_", " ").capitalize())


def _drawing(svg: str, caption: str, *, repaint: bool) -> Markup:
    """A matplotlib SVG as an element of the page, in the page's text colour and without a background.

    `repaint=False` keeps the colours of a heat map, whose text contrasts with its cells.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    if repaint:
        body = body.replace("#000000", "currentColor").replace("fill: #ffffff", "fill: none")
    points = re.search(r'width="([\d.]+)pt"', body)
    width = float(points[1]) / 72 * PIXELS_PER_INCH if points else 500
    body = re.sub(r'(width|height)="[^"]*"', "", body, count=2)
    look = f'role="img" aria-label="{escape(caption)}" style="--width: {width:.0f}px"'
    kinds = [*([] if repaint else ["own"]), *(["wide"] if width > LARGEST_HALF else [])]
    return Markup(body.replace("<svg ", f'<svg {look} class="{" ".join(kinds)}" ', 1))
