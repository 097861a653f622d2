"""Ask about frames that OpenCV reads.  python examples/opencv_frames.py [VIDEO]

Needs: pip install 'skyeye-edge[runtime]'
"""

import sys
from pathlib import Path

import cv2

import skyeye_edge as sky

DEMO_CLIP = Path(sky.__file__).parent / "assets" / "demo.mp4"
STEP = 30  # frames between two questions


def main() -> None:
    """Caption every STEP-th frame; OpenCV's channel order is BGR, hence `from_bgr`."""
    capture = cv2.VideoCapture(str(sys.argv[1] if len(sys.argv) > 1 else DEMO_CLIP))
    with sky.load() as model:
        number = 0
        while True:
            more, bgr = capture.read()
            if not more:
                break
            if number % STEP == 0:
                frame = sky.Frame.from_bgr(bgr.astype("uint8", copy=False))
                print(f"frame {number}: {model.caption(frame).text}")
            number += 1
    capture.release()


if __name__ == "__main__":
    main()
