"""Makes the bundled clip and background again: ``python -m tests.make_demo_assets``.

Needs scikit-image for its picture of Eileen Collins (NASA, public domain). Nothing else is copied from
anywhere: the hills are drawn and the chord is computed, so both files are free of other people's rights.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from skimage.data import astronaut

ASSETS = Path(__file__).parents[1] / "livematte" / "assets"
WIDTH, HEIGHT, RATE, SECONDS, SAMPLES = 1280, 720, 25, 4, 48000


def camera(seconds: float) -> Any:
    """(2, 3) affine from the 512x512 portrait to the frame: a slow push-in with a little sway."""
    phase = 2 * np.pi * seconds / SECONDS
    zoom = WIDTH / 512 * (1.06 + 0.05 * np.sin(phase))
    angle = np.deg2rad(1.2 * np.sin(phase + 0.7))
    center = np.array([238 + 10 * np.sin(phase), 143 + 4 * np.sin(2 * phase)])
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = np.array([WIDTH / 2, HEIGHT / 2]) - turn @ center
    return np.hstack([turn, shift[:, None]])


def chord(count: int) -> Any:
    """(1, count) float32: a soft A major that swells and fades."""
    t = np.arange(count) / SAMPLES
    tone = sum(np.sin(2 * np.pi * f * t) / (k + 2) for k, f in enumerate((220.0, 277.18, 329.63)))
    return (0.08 * tone * np.sin(np.pi * t / t[-1]) ** 2).astype(np.float32)[None]


def write_clip(path: Path) -> None:
    """The portrait under a moving camera, x264 and AAC."""
    portrait = astronaut()
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as out:
        out.metadata["title"] = "Eileen Collins (NASA, public domain)"
        video: Any = out.add_stream("libx264", rate=RATE, options={"preset": "slow", "crf": "23"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = video.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1  # BT.709
        context.color_range = 1  # limited
        sound: Any = out.add_stream("aac", rate=SAMPLES, layout="mono")
        sound.bit_rate = 64000
        for number in range(RATE * SECONDS):
            picture = cv2.warpAffine(
                portrait,
                camera(number / RATE),
                (WIDTH, HEIGHT),
                flags=cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REFLECT,
            )
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        audio = av.AudioFrame.from_ndarray(chord(SAMPLES * SECONDS), "fltp", "mono")
        audio.sample_rate, audio.pts, audio.time_base = SAMPLES, 0, Fraction(1, SAMPLES)
        resampler = av.AudioResampler("fltp", "mono", SAMPLES, frame_size=1024)
        for part in (*resampler.resample(audio), *resampler.resample(None)):
            out.mux(sound.encode(part))
        out.mux(sound.encode(None))


def ridge(x: Any, rng: np.random.Generator, roughness: float) -> Any:
    """(WIDTH,) heights around 0: octaves of sines with falling weight."""
    octaves = [(2.0**k, roughness**k) for k in range(9)]
    return sum(w * np.sin(x * f * rng.uniform(1.5, 2.5) + rng.uniform(0, 2 * np.pi)) for f, w in octaves)


def write_background(path: Path) -> None:
    """Hills at dusk: a graded sky, a low sun, ridges that fade into haze, fine grain against banding."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    height = (y / HEIGHT)[..., None]
    top, low = np.array([58, 84, 140.0]), np.array([252, 190, 140.0])
    picture = top + (low - top) * np.clip(height / 0.62, 0, 1) ** 1.25
    away = np.hypot(x - 905, y - 395)[..., None]
    picture += np.array([150, 92, 30.0]) * np.exp(-away / 150) + np.array([70, 60, 40.0]) * (away < 38)
    haze = np.array([232, 170, 140.0])
    for layer, share in enumerate(np.linspace(0.15, 0.95, 6)):
        edge = 400 + 58 * layer + (16 + 9 * layer) * ridge(x[0] / WIDTH * 3, rng, 0.52)
        below = np.clip((y - edge[None]) / 1.6 + 0.5, 0, 1)[..., None]
        color = haze * (1 - share) + np.array([24, 38, 52.0]) * share
        mist = np.clip((y - edge[None]) / 150, 0, 1)[..., None] * (1 - share) * 0.5
        picture = picture * (1 - below) + (color * (1 - mist) + haze * mist) * below
    picture += rng.normal(0, 1.5, (HEIGHT, WIDTH, 1))
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    path.write_bytes(data.tobytes())


if __name__ == "__main__":
    write_clip(ASSETS / "astronaut.mp4")
    write_background(ASSETS / "dusk.jpg")
    for made in sorted(ASSETS.iterdir()):
        print(made, made.stat().st_size)
