"""Be told when something comes and goes, with a picture.  python examples/alerts.py [URL]

URL is for example udp://0.0.0.0:5600 or rtsp://camera/stream; without one, a file is watched.
Pictures go to the folder you are in. Needs: pip install 'skyeye-edge[runtime]'
"""

import sys
from pathlib import Path

from PIL import Image

import skyeye_edge as sky

DEMO_CLIP = Path(sky.__file__).parent / "assets" / "demo.mp4"
ALERTS = [
    sky.Alert("a boat", needed=2, of=3, cooldown=10),
    sky.Alert("is there a bridge?", name="bridge", begin_at=0.9),
]


class Pictures:
    """A sink: gets every event with its picture, in a thread of its own."""

    name = "pictures"

    def write(self, event: sky.Event, frame: sky.Frame | None) -> None:
        """Save the picture that shows what an alert is about."""
        if isinstance(event, sky.AlertEvent) and event.phase == "begin" and frame is not None:
            number = [alert.name for alert in ALERTS].index(event.alert)
            Image.fromarray(frame.rgb).save(f"alert-{number}-{frame.index}.jpg")

    def close(self) -> None:
        """Nothing is left to do."""


def main() -> None:
    """Print when alerts begin and end."""
    source = sys.argv[1] if len(sys.argv) > 1 else DEMO_CLIP
    with (
        sky.load() as model,
        model.stream(source, every=1.0, alerts=ALERTS, sinks=[Pictures()]) as events,
    ):
        for event in events:
            if isinstance(event, sky.AlertEvent) and event.phase != "update":
                about = f"{event.alert}: {event.phase} ({event.why}, {event.score:.2f})"
                print(f"{event.time:6.1f} s  {about}, frames {event.frames}", flush=True)


if __name__ == "__main__":
    main()
