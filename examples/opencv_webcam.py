"""Show the webcam with a blurred room in an OpenCV window; q ends it.

Usage: python examples/opencv_webcam.py [CAMERA or FILE]

The package opencv-python-headless, which livematte installs, has no windows. In an environment of its own:
pip uninstall opencv-python-headless, then pip install opencv-python.
"""

from __future__ import annotations

import sys

import cv2

import livematte


def main(source: int | str) -> None:
    camera = cv2.VideoCapture(source)
    matter = livematte.Matter(channels="bgr", size=256)  # a smaller network input is faster
    while True:
        good, frame = camera.read()
        if not good:
            break
        cv2.imshow("livematte", matter(frame).over("blur"))
        if cv2.waitKey(1) == ord("q"):
            break
    camera.release()
    cv2.destroyAllWindows()


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else "0"
    main(int(given) if given.isdecimal() else given)
