"""``livematte image``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typing_extensions import Unpack

from livematte.cli.parameters import takes
from livematte.cli.render import tell
from livematte.options import ImageOptions
from livematte.options.commands import ImageCommand
from livematte.options.declaration import input_files


@takes(ImageCommand)
def image(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A picture, or a video whose first frame is taken.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="[b].png[/b], [b].jpg[/b], [b].webp[/b] …")],
    **options: Unpack[ImageOptions],
) -> None:
    """Cut the people out of one picture.

    [bold]Examples[/bold]

    [cyan]livematte image me.jpg me.png[/cyan]  on nothing: transparent
    [cyan]livematte image me.jpg out.jpg -b beach.jpg[/cyan]  on another picture
    [cyan]livematte image me.jpg out.png -b blur[/cyan]  like a portrait lens
    [cyan]livematte image me.jpg out.png --trimap drawn.png --refine NAME[/cyan]  where you drew the outline
    """
    from livematte.video import trial_decode

    trial_decode.begin(source, *input_files(ImageOptions, options).values())  # in parallel with the imports
    from livematte import api

    tell(api.image(source, target, **options))
