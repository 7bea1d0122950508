"""Measure live sessions: camera to virtual camera, panel, governor, start-up and latency to OBS.

    python -m benchmarks.live [--clip ../shared/data/clips/room_woman_720p.mp4] [--write docs/live.md]

The camera is a clip played in real time, 1280x720 at 30 fps; the default is the bundled clip. The virtual
camera is the plug-in with a back-end that writes to memory (``benchmarks.memorycamera``), or the real one of
``--device``. Each part runs in its own process, so that its CPU time and memory can be measured. With
LIVEMATTE_REAL_OBS=1 a real OBS Studio is measured too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

import livematte
from benchmarks.clips import HEIGHT, RATE, loop_clip, prepare_clip
from benchmarks.governor import ROOM, Row, governor, governor_rows
from benchmarks.memorycamera import BACKEND
from benchmarks.obsroute import Route, obs_route, stream_route
from benchmarks.panel import PanelRun, missing, panel_run
from benchmarks.sampling import (
    Sample,
    available_cores,
    processor_name,
    run_in_process,
    sample_session,
    start_session,
)
from benchmarks.section import Section
from livematte.options import DEFAULT_MODEL
from livematte.streaming.governor import percentile
from livematte.streaming.stats import WINDOW
from livematte.tools.demo import background_path, clip_path


def camera(clip: Path, device: str | None, settle: float, seconds: float) -> list[Sample]:
    """Run a session and take a sample for each window of its latency percentiles."""
    with start_session(clip, device) as session:
        session.wait(settle)
        return list(sample_session(session, max(seconds, WINDOW), WINDOW))


def camera_rows(seen: Sequence[Sample], device: str | None) -> Iterator[Row]:
    """Return the table rows for a result of :func:`camera`."""
    first, last = seen[0], seen[-1]
    wall = last.when - first.when
    fps = (last.pictures - first.pictures) / wall
    into = device or "memory in place of the driver"
    label = f"720p30 camera (a clip) → virtual camera ({into}), `{DEFAULT_MODEL}`, guided, temporal on"
    gone = {
        name: getattr(last.stats, name) - getattr(first.stats, name)
        for name in ("sent", "dropped", "repeats", "placeholders")
    }
    windows = [sample.stats for sample in seen[1:]]
    p50 = percentile([each.latency_p50 for each in windows], 0.5)
    p95 = percentile([each.latency_p95 for each in windows], 0.5)
    worst = max(each.latency_p95 for each in windows)
    height, width = last.stats.size or (0, 0)
    yield Row(
        f"{label}: frames per second over {wall:.0f} s",
        f"{fps:.2f}; {gone['sent']} pictures sent, of which {gone['repeats']} repeats and "
        f"{gone['placeholders']} placeholders; {gone['dropped']} camera frames dropped; "
        f"network input {width}x{height}; level changes: {last.stats.steps - first.stats.steps}",
        f"≥ {0.995 * RATE:.2f}",
        fps >= 0.995 * RATE,
    )
    yield Row(
        "— latency from arrival of a camera frame until it is written, median of 3 s windows (worst)",
        f"p50 {p50:.0f} ms, p95 {p95:.0f} ms ({worst:.0f} ms)",
        "p95 ≤ 66 ms",
        p95 <= 66,
    )
    share = (last.cpu - first.cpu) / wall / available_cores()
    yield Row(
        f"— CPU use of {available_cores()} cores, including decoding of the clip",
        f"{100 * share:.0f} %",
        "≤ 75 %",
        share <= 0.75,
    )
    yield Row("— resident memory", f"{last.memory:.0f} MB")


def start(clip: Path) -> float:
    """Return the seconds from the start of the process ``livematte live`` to its first picture."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.memorycamera",
        "live",
        "--input",
        str(clip),
        "--json",
        "--stats",
    ]
    command += ["--background", str(background_path()), "--quiet", "--seconds", "30"]
    command += ["--sink-option", f"virtualcam.backend={BACKEND}"]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            event, now = json.loads(line), time.monotonic()
            if event["event"] == "stats" and event["first_good"] is not None:
                process.terminate()
                return now - began - float(event["seconds"] - event["first_good"])
        why = process.stderr.read()
    raise SystemExit(f"livematte live showed no picture within 30 s: {why}")


def start_row(runs: Sequence[float]) -> Row:
    """Return the table row for several starts, in seconds."""
    return Row(
        f"start of `livematte live` to its first good frame, warm cache, median of {len(runs)} (worst)",
        f"{percentile(runs, 0.5):.1f} s ({max(runs):.1f} s)",
        "≤ 3 s",
        percentile(runs, 0.5) <= 3,
    )


def route_row(what: str, route: Route, other: str) -> Row:
    """Return the table row for a route to OBS."""
    p50, p95 = (percentile(route.latency, share) for share in (0.5, 0.95))
    earliest = f"p50 {percentile(route.earliest, 0.5):.0f} to " if route.earliest else "p50 "
    return Row(
        f"latency of the OBS route, 720p30: {what}",
        f"{earliest}{p50:.0f} ms, p95 {p95:.0f} ms, {len(route.latency)} of {route.sent} frames seen; "
        f"{100 * route.sender:.0f} % of a core to send, {100 * route.reader:.0f} % {other}",
    )


def panel_rows(run: PanelRun) -> Iterator[Row]:
    """Return the table rows for a session with the panel open in Chromium."""
    yield Row(
        "the same with the panel open in Chromium: frames per second",
        f"{run.fps:.2f}; {run.placeholders} placeholders; {100 * run.session:.0f} % of a core",
        f"≥ {0.995 * RATE:.2f}",
        run.fps >= 0.995 * RATE,
    )
    yield Row(
        f"— processor share of the panel at {run.pictures:.1f} pictures per second, of one core",
        f"{100 * run.share:.1f} %",
        "≤ 8 %",
        run.share <= 0.08,
    )
    yield Row(
        "— first picture in the page, from the start of the session",
        f"{run.first:.2f} s",
        "≤ 1 s",
        run.first <= 1,
    )


def measured(options: argparse.Namespace) -> Iterator[Row]:
    """Yield the rows of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = prepare_clip(options.clip, folder / "720p30.mp4")
        if "camera" in options.only:
            # Long enough to play once: reopening the file would cost three frames, unlike a camera.
            long = loop_clip(clip, options.settle + options.seconds + 10, HEIGHT, folder / "long.mp4")
            seen = run_in_process(camera, long, options.device, options.settle, options.seconds)
            yield from camera_rows(seen, options.device)
        if "panel" in options.only and (reason := missing()):
            print(f"the panel is not measured: {reason}", file=sys.stderr)
        elif "panel" in options.only:
            long = loop_clip(clip, options.settle + options.seconds + 15, HEIGHT, folder / "panel.mp4")
            yield from panel_rows(panel_run(long, options.settle, options.seconds))
        if "governor" in options.only:
            walled = folder / "walled.mp4"
            livematte.render(clip, walled, background=ROOM)
            yield from governor_rows(run_in_process(governor, walled, options.settle, options.busy))
        if "start" in options.only:
            start(clip)
            yield start_row([start(clip) for _ in range(options.starts)])
        if "obs" in options.only:
            route = run_in_process(stream_route, options.seconds / 2)
            yield route_row("frame handed over → complete at a local reader, without OBS", route, "to read")
            if "LIVEMATTE_REAL_OBS" in os.environ:
                what = "frame handed over → screenshot of OBS's scene, from its request to its answer"
                yield route_row(what, run_in_process(obs_route, options.seconds / 2), "for OBS")


def document(rows: Sequence[Row], options: argparse.Namespace, load: str) -> str:
    """Return the text for the document."""
    day = datetime.now(timezone.utc).date()
    met = {None: "", True: "yes", False: "**no**"}
    return "\n".join([
        f"Made on {day} by `python -m benchmarks.live --clip {options.clip.name}`",
        f"on {available_cores()} cores ({processor_name()}), {load}.",
        "",
        "| measure | figure | target | met |",
        "|---|---|---|---|",
        *(f"| {row.measure} | {row.figure} | {row.target} | {met[row.met]} |" for row in rows),
    ])  # fmt: skip


def main() -> None:
    """Print the Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("camera", "panel", "governor", "start", "obs")
    parser.add_argument("--clip", type=Path, default=clip_path())
    parser.add_argument("--device", help="a real virtual camera, e.g. /dev/video10, for the first rows")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="duration of the camera part; half of it for OBS"
    )
    parser.add_argument("--settle", type=float, default=15.0, help="seconds before a measurement")
    parser.add_argument(
        "--busy", type=float, default=20.0, help="seconds during which another process uses a core"
    )
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=parts, default=parts, metavar="PART", help=str(parts))
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--write", type=Path, help="insert the table into this document, between its marks")
    options = parser.parse_args()
    section = options.write and Section(options.write, "live")
    load = (
        f"load average {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else "load unknown"
    )
    rows = []
    for row in measured(options):
        rows.append(row)
        print(*row, sep=" | ", flush=True)
    text = document(rows, options, load)
    print(f"\n{text}")
    if options.json:
        report = {"load": load, "cores": available_cores(), "rows": [row._asdict() for row in rows]}
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    if section:
        section.write(text)


if __name__ == "__main__":
    main()
