"""Watch a live stream, loss and return included.  python examples/watch_stream.py [URL]

URL is for example udp://0.0.0.0:5600 or rtsp://camera/stream; without one, a file is watched.
Ctrl-C ends. Needs: pip install 'skyeye-edge[runtime]'
"""

import sys
from pathlib import Path

import skyeye_edge as sky

DEMO_CLIP = Path(sky.__file__).parent / "assets" / "demo.mp4"


def main() -> None:
    """Print answers and changes of the source's state as they come."""
    source = sys.argv[1] if len(sys.argv) > 1 else DEMO_CLIP
    tasks: list[sky.Task] = [sky.Caption(), sky.Ground("a boat")]
    with sky.load() as model, model.stream(source, tasks=tasks, every=1.0) as events:
        for event in events:
            match event:
                case sky.AnswerEvent(time=time, results=(caption, boat)):
                    print(f"{time:8.1f} s  {caption.text} (a boat: {boat.outcome})", flush=True)
                case sky.StateEvent(state=state, cause=cause):
                    print(f"{state}: {cause}", flush=True)
                case sky.SummaryEvent(answered=answered):
                    print(f"{answered} frames were answered")


if __name__ == "__main__":
    main()
