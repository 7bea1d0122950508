"""A file that a cluster renders: its segments before, and its parts afterwards."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from livematte.errors import UsageError
from livematte.farm.files import PlannedFile
from livematte.farm.manifest import Manifest
from livematte.farm.out_dir import OutDir
from livematte.farm.ray_task import code_hash
from livematte.farm.records import Records, input_stamp
from livematte.farm.storage import input_path, local_copy
from livematte.offline.parallel import lead_in_frames
from livematte.offline.worker import Job
from livematte.options import SdrOption
from livematte.options.declaration import pick
from livematte.output_paths import check_new, check_outputs, check_splittable, output_paths
from livematte.video.concat import open_concat
from livematte.video.container import require_rereadable
from livematte.video.pixel_limit import limit_pixels
from livematte.video.read_check import ReadCheck
from livematte.video.reader import open_video
from livematte.video.section import read_section
from livematte.video.split import SEGMENT_SECONDS, Segment, split_video


@dataclass(frozen=True)
class CutFile:
    """A file in segments.

    Attributes:
        local: the path that this computer reads; the machines read ``job.input``.
        frames: expected number of frames; 0 if it is unknown.
        size: height and width.
        lead_in: frames that are read before each segment but the first.
        stamp: version of the input.
        facts: all that the parts depend on, as JSON.
    """

    file: PlannedFile
    local: Path
    job: Job
    segments: list[Segment]
    frames: int
    size: tuple[int, int]
    lead_in: int
    stamp: list[Any] | None
    facts: dict[str, Any]

    @property
    def share(self) -> int:
        """Expected number of frames of a segment."""
        return max(1, self.frames // len(self.segments))

    def section(self, number: int) -> str:
        """Return the time range of a segment for a message; it begins where the one before it ends."""
        before = self.segments[number - 1].end if number else None
        begins = "the start" if before is None else f"{float(before):.1f} s"
        end = self.segments[number].end
        return f"{begins} to {'the end' if end is None else f'{float(end):.1f} s'}"


def cut_file(
    file: PlannedFile, out: OutDir, options: Mapping[str, Any], records: Records, *,
    transparent: bool, seconds: float = SEGMENT_SECONDS,
) -> CutFile:  # fmt: skip
    """Cut a file into segments. Raises LivematteError.

    Args:
        seconds: approximate length of a segment.
    """
    source = input_path(file.input)
    local = local_copy(source)
    finals = {option: out.folder / target for option, target in file.targets.items()}
    check_outputs({"input": local}, finals.values(), options)
    for target in file.targets.values() if out.url else ():
        if f"{out.url}/{target}" == source:
            raise UsageError(f"{source} is also the input: give the output another name")
        check_new(f"{out.url}/{target}", options, there=out.stamp(target) is not None)
    others: Any = {**options, **{option: path for option, path in finals.items() if option != "output"}}
    targets = output_paths(finals["output"], others)
    check_splittable(targets, "render the file without --cluster")
    require_rereadable(local, "the segments are read one by one")
    section = read_section(local, options)
    stamp = input_stamp(file.input)
    with limit_pixels(options), open_video(os.fspath(local), **pick(SdrOption, options), **section) as opened:
        info = replace(opened.info, details={})
    frames, overlap = info.frames or 0, lead_in_frames(options)
    segments = split_video(local, 1, overlap, **section, seconds=seconds)
    job = Job(
        source, targets, others, 1, transparent=transparent, encoder_threads=1, like=info, section=section
    )  # fmt: skip
    facts = {
        "input": source, "stamp": stamp, "options": records.options, "code": code_hash(),
        "segments": [[str(each.read), each.first, str(each.end)] for each in segments], "frames": frames,
    }  # fmt: skip
    return CutFile(file, local, job, segments, frames, (info.height, info.width), overlap, stamp, facts)


def join_parts(cut: CutFile, manifest: Manifest) -> tuple[int, list[str]]:
    """Join the parts of a file; the outputs appear when they are complete.

    Returns:
        the number of frames, and lines for the user.
    """
    job, section, out = cut.job, cut.job.section, manifest.out
    check_read, sinks, whole = ReadCheck(os.fspath(cut.local)), [], False
    sdr = pick(SdrOption, job.options)
    with limit_pixels(job.options), open_video(os.fspath(cut.local), **sdr, **section) as source:
        info = source.info
    try:
        for kind, path in job.targets.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            copied = os.fspath(cut.local) if kind == "picture" else None
            sinks.append(
                open_concat(Path(path), info, **job.sink_settings(kind), copy_streams_from=copied, **section)
            )
        for number in sorted(manifest.done):
            for sink, part in zip(sinks, manifest.done[number].parts, strict=True):
                if part.times:
                    with out.open_part(part.path) as here:
                        sink.append(replace(part, path=here))
        check_read()
        whole = True
    finally:
        for sink in sinks:
            (sink.close if whole else sink.abort)()
    for target in cut.file.targets.values():
        out.publish(target)
    notes = [note for result in manifest.done.values() for note in result.notes]
    notes += [note for sink in sinks for note in sink.notes]
    return sinks[0].frames, list(dict.fromkeys(notes))
