"""Hand over frames from a callback, as a robotics stack does.  python examples/push_frames.py

`camera.push` copies the image and never blocks: while the model is busy, the newest frame waits
and older ones are counted as dropped. Needs: pip install 'skyeye-edge[runtime]'
"""

import threading
import time

import numpy as np
import numpy.typing as npt

import skyeye_edge as sky
from skyeye_edge.training.data.synthetic import render_scene

FRAMES, FPS = 20, 10


def run_camera(camera: sky.Push) -> None:
    """Stand in for the robotics stack: call back with an image, FPS times a second."""
    view = np.asarray(render_scene(1_000_000).image)
    for number in range(FRAMES):
        on_image(camera, np.roll(view, number * 4, axis=1), number / FPS)
        time.sleep(1 / FPS)
    camera.end()


def on_image(camera: sky.Push, rgb: npt.NDArray[np.uint8], stamp: float) -> None:
    """What you register as callback: `rgb` is (H, W, 3), `stamp` the media time in seconds."""
    camera.push(rgb, time=stamp)


def main() -> None:
    """Print an answer for every frame that the model had time for."""
    camera = sky.Push()
    with sky.load() as model, model.stream(camera, tasks=[sky.Caption()], every=0) as events:
        threading.Thread(target=run_camera, args=(camera,), name="camera").start()
        for event in events:
            if isinstance(event, sky.AnswerEvent):
                print(f"{event.time:4.1f} s  {event.results[0].text}")
            if isinstance(event, sky.SummaryEvent):
                print(f"{event.counts.received} frames came, {event.answered} were answered")


if __name__ == "__main__":
    main()
