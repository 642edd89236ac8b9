"""Pictures side by side, with captions, as a GIF or an MP4 file."""

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from microbench.errors import UserError
from microbench.rendering.drawing import Frames
from reports.files import replace, replacing

KINDS = (".gif", ".mp4")
BAR = 48
"""Pixels of the caption above a picture."""

GAP = 8
INK, SOFT, PAPER = (22, 25, 29), (93, 101, 110), (253, 253, 252)


def check_kind(path: Path) -> None:
    """Raise UserError if a file name ends in no kind of video, or the package for that kind is not installed."""
    if path.suffix not in KINDS:
        raise UserError(f"{path} is no video; give --out a name that ends in {' or '.join(KINDS)}.")
    if path.suffix == ".mp4" and not (find_spec("imageio") and find_spec("imageio_ffmpeg")):
        raise UserError(
            f"{path} needs imageio-ffmpeg; install it (`pip install 'microbench-rl[video]'`), or give --out a name "
            "that ends in .gif."
        )


def captioned(frames: Frames, title: str, lines: Sequence[str]) -> Frames:
    """Frames (F, H, W, 3) with the title and one of the F lines above each, (F, H + BAR, W, 3)."""
    width = frames.shape[2]
    big, small = ImageFont.load_default(17), ImageFont.load_default(14)
    bars = []
    for line in lines:
        bar = Image.new("RGB", (width, BAR), PAPER)
        draw = ImageDraw.Draw(bar)
        draw.text((10, 4), title, fill=INK, font=big)
        draw.text((10, 26), line, fill=SOFT, font=small)
        bars.append(np.asarray(bar))
    return np.concatenate([np.stack(bars), frames], axis=1)


def beside(left: Frames, right: Frames) -> Frames:
    """Two sequences of frames side by side; the shorter one repeats its last frame."""
    count = max(len(left), len(right))
    gap = np.full((count, left.shape[1], GAP, 3), PAPER, np.uint8)
    sides = [np.concatenate([side, np.repeat(side[-1:], count - len(side), axis=0)]) for side in (left, right)]
    return np.concatenate([sides[0], gap, sides[1]], axis=2)


def save(path: Path, frames: Frames, fps: float) -> None:
    """Write frames (F, H, W, 3) as a video, whole or not at all; a GIF repeats for ever.

    Raises:
        UserError: `check_kind` refuses the file's name.
        OSError: the file cannot be written.
    """
    check_kind(path)
    if path.suffix == ".mp4":
        _save_mp4(path, frames, fps)
        return
    images = [Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE) for frame in frames]
    content = io.BytesIO()
    images[0].save(content, "GIF", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0)
    replace(path, content.getvalue())


def _save_mp4(path: Path, frames: Frames, fps: float) -> None:
    import imageio.v2 as imageio

    with replacing(path, ".part.mp4") as part:
        writer: Any = imageio.get_writer(part, format="FFMPEG", mode="I", fps=fps, macro_block_size=2)
        with writer:
            for frame in frames:
                writer.append_data(frame)
