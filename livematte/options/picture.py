"""Options for the people in the picture: who is kept, how they are framed, and their edge."""

from typing import Annotated, Literal, TypedDict

from livematte.options.declaration import Change, Option
from livematte.options.groups import MATTE


class PeopleOption(TypedDict, total=False):
    keep: Annotated[
        str,
        Option(
            "all",
            "People to keep: [b]all[/b], [b]largest[/b], a number, or a point such as [b]0.5,0.4[/b] (shares "
            "of the width and height: the person who is there first); the others become background.",
            "PEOPLE",
            MATTE,
            examples=("all", "largest"),
            change=Change(
                "Keep only the largest people, or the one at a point.",
                "[b]all[/b], [b]largest[/b], a number from 1 to 9, or a point in the picture that viewers "
                "see, such as [b]0.5,0.4[/b]: shares of its width and height.",
            ),
        ),
    ]


class FramingOption(TypedDict, total=False):
    frame: Annotated[
        Literal["off", "head", "body"],
        Option(
            "off",
            "Crop and pan smoothly to the people: [b]head[/b] (head and shoulders), [b]body[/b] (all of "
            "them) or [b]off[/b]. The size of the picture stays.",
            "MODE",
            MATTE,
            change=Change("Crop and pan to the people.", "[b]off[/b], [b]head[/b] or [b]body[/b]."),
        ),
    ]


class EdgeOptions(TypedDict, total=False):
    """The edge sliders of a keyer."""

    choke: Annotated[
        float,
        Option(
            0.0,
            "Shrink people by this many pixels for a height of 720; a negative value makes them grow.",
            "PIXELS",
            MATTE,
            between=(-20, 20),
            unit="pixels for a height of 720",
            change=Change("Shrink people, or make them grow.", "Pixels for a height of 720, -20 to 20."),
        ),
    ]
    feather: Annotated[
        float,
        Option(
            0.0,
            "Make the edge softer: standard deviation of the blur of alpha, in pixels for a height of 720.",
            "PIXELS",
            MATTE,
            between=(0, 50),
            unit="pixels for a height of 720",
            change=Change("Make the edge softer.", "Pixels for a height of 720, 0 to 50."),
        ),
    ]
