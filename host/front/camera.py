"""Pictures from a camera, by OpenCV where it is installed.

for pixels in frames(0):        # (H, W, 3) uint8, RGB, the newest picture each time
"""

import importlib

from data.errors import DataError

LOST = 20  # pictures in a row that a camera may fail to give


def frames(number, library=None):
    """Yield pictures until the camera ends or the caller stops. DataError without OpenCV or the camera.

    `library`: a module that stands for cv2.
    """
    cv2 = library or _opencv()
    camera = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise DataError(
                f"--camera {number}: there is no such camera, or another program has it: try another number"
            )
        lost = 0
        while lost < LOST:
            good, picture = camera.read()
            lost = 0 if good else lost + 1
            if good:
                yield picture[..., ::-1].copy()  # OpenCV's are BGR
        raise DataError(f"--camera {number} gave {LOST} times no picture: is it still connected?")
    finally:
        camera.release()


def _opencv():
    try:
        return importlib.import_module("cv2")
    except ImportError:
        raise DataError("--camera needs OpenCV: pip install -r requirements/camera.txt, or give --image") from None
