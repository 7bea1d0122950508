"""Command ``livematte image``."""

from __future__ import annotations

from typing import Annotated

import typer
from typing_extensions import Unpack

from livematte.cli import terminal
from livematte.cli.parameters import takes
from livematte.cli.render import confirm_overwrite, tell
from livematte.options import ImageOptions
from livematte.options.commands import ImageCommand
from livematte.options.declaration import input_files


@takes(ImageCommand)
def image(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="Input picture, or a video (its first frame is used); [b]-[/b] for standard input.",
        ),
    ],
    target: Annotated[
        str, typer.Argument(metavar="OUT", help="Output picture: [b].png[/b], [b].jpg[/b], [b].webp[/b] …")
    ],
    **options: Unpack[ImageOptions],
) -> None:
    """Remove or replace the background of one picture.

    [bold]Examples[/bold]

    [cyan]livematte image me.jpg me.png[/cyan]  transparent background
    [cyan]livematte image me.jpg out.jpg -b beach.jpg[/cyan]  another picture as background
    [cyan]livematte image me.jpg out.png -b blur[/cyan]  blurred background
    [cyan]livematte image me.jpg out.png --trimap drawn.png --refine NAME[/cyan]  with your own trimap
    """
    from livematte.video import trial_decode
    from livematte.video.pixel_limit import limit_pixels

    with limit_pixels(options):
        trial_decode.begin(source, *input_files(ImageOptions, options).values())  # parallel to the imports
    from livematte.output_paths import output_paths

    targets = output_paths(target, options, source, ".png")
    confirm_overwrite(source, targets.values(), options)
    from livematte import api
    from livematte.video.spool import as_file

    with as_file(source, say=terminal.note) as file:
        report = api.image(file, targets["picture"], **options)
    tell(report)
