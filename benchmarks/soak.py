"""Soak test of live sessions: check that memory and latency do not increase over a long time.

    python -m benchmarks.soak --minutes 30 [--clip ...] --out runs/soak
    python -m benchmarks.soak --frames 864000 [--clip ...] --out runs/soak

``--minutes`` runs a normal session with the model, from a looped clip to a virtual camera in memory, and
takes a sample every few seconds. ``--frames`` sends the frames of eight hours (864000 at 30 fps) through
everything except the network, at full speed and with a fake clock, so that all timers run for eight hours
too. The clip is decoded in a loop, a trivial model replaces the network, the matte is filtered over time,
upsampled and composited, and each frame is sent to the virtual camera and to a reader of the OBS stream. At
intervals the machine is slow, so that the governor changes levels, and the camera is unplugged. Both write
``PATH.json`` and ``PATH.png``. The exit code is 1 if memory or latency increased.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clips import loop_clip, prepare_clip
from benchmarks.sampling import (
    available_cores,
    other_cpu_seconds,
    processor_name,
    run_in_process,
    sample_session,
    start_session,
)
from benchmarks.soakengine import HEIGHT, run_frames
from benchmarks.soaksamples import OTHERS, SoakRun
from livematte.tools.demo import clip_path


def live(clip: Path, minutes: float, every: float) -> SoakRun:
    """Run a normal session for ``minutes`` and take a sample every ``every`` seconds."""
    times: list[float] = []
    used: list[float] = []
    names = ("latency p50 ms", "latency p95 ms", "frames a second", "level", OTHERS)
    lines: dict[str, list[float]] = {name: [] for name in names}
    with start_session(clip) as session:
        began, taken = time.monotonic(), other_cpu_seconds()
        session.wait(every)
        for sample in sample_session(session, 60 * minutes, every):
            stats = sample.stats
            times.append(sample.when / 60)
            used.append(sample.memory)
            now, by_now = time.monotonic(), other_cpu_seconds()
            others, began, taken = (by_now - taken) / (now - began), now, by_now
            figures = (stats.latency_p50, stats.latency_p95, stats.fps, float(stats.level), others)
            for name, figure in zip(names, figures, strict=True):
                lines[name].append(figure)
    return SoakRun(f"live for {minutes:g} minutes, model on", [t - times[0] for t in times], used, lines)


def draw(run: SoakRun, out: Path) -> None:
    """Draw memory and the other series over time to a PNG.

    Raises:
        ImportError: matplotlib is not installed (extra ``train``).
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.2 * (1 + len(run.lines))), dpi=100, layout="constrained")
    axes = figure.subplots(1 + len(run.lines), 1, sharex=True)
    rows = {"memory MB": run.memory, **run.lines}
    for number, (axis, (name, values)) in enumerate(zip(axes, rows.items(), strict=True)):
        axis.plot(run.times, values, color=f"C{number}", linewidth=1)
        axis.set_ylim(0, 1.15 * max([*values, 1e-3]))
        axis.set_ylabel(name)
        axis.axvline(run.settled(run.times)[0][0], color="0.8", linewidth=1)
    axes[0].set_title(run.what)
    axes[-1].set_xlabel("minutes")
    figure.savefig(out)


def main(words: Sequence[str] | None = None) -> int:
    """Run the test; return 1 if memory or latency increased."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--minutes", type=float, help="duration of a session with the model, such as 30")
    mode.add_argument(
        "--frames", type=int, help="number of frames without the network; 864000 are eight hours"
    )
    parser.add_argument("--clip", type=Path, default=clip_path())
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two samples with --minutes")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/soak"), help="path of the results, without extension"
    )
    options = parser.parse_args(words)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        if options.minutes is not None:
            clip = prepare_clip(options.clip, Path(name) / "720p30.mp4")
            run = run_in_process(live, clip, options.minutes, options.every)
        else:
            clip = loop_clip(options.clip, 4, HEIGHT, Path(name) / "small.mp4")
            run = run_in_process(run_frames, clip, options.frames)
    verdict = run.verdict()
    report = {"machine": f"{available_cores()} cores, {processor_name()}", "verdict": verdict, **vars(run)}
    options.out.with_suffix(".json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    draw(run, options.out.with_suffix(".png"))
    print(run.what)
    for fact, value in verdict.items():
        print(f"{fact}: {value:.3f}" if isinstance(value, float) else f"{fact}: {value}")
    return 0 if all(value is not False for value in verdict.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
