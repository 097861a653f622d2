"""Caption a clip once a second.  python examples/caption_clip.py [VIDEO]

Needs: pip install 'skyeye-edge[runtime]'
"""

import sys
from pathlib import Path

import skyeye_edge as sky

DEMO_CLIP = Path(sky.__file__).parent / "assets" / "demo.mp4"


def main() -> None:
    """Print the media time and the caption of one frame per second."""
    video = sys.argv[1] if len(sys.argv) > 1 else DEMO_CLIP
    with (
        sky.load() as model,
        model.stream(video, tasks=[sky.Caption()], every=1.0) as events,
    ):
        for event in events:
            if isinstance(event, sky.AnswerEvent):
                print(f"{event.time:6.1f} s  {event.results[0].text}")


if __name__ == "__main__":
    main()
