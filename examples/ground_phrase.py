"""Find a phrase in an image and draw its box.  python examples/ground_phrase.py [IMAGE PHRASE]

Without arguments, a scene of the synthetic world is asked. Writes grounded.png.
Needs: pip install 'skyeye-edge[runtime]'
"""

import sys

from PIL import Image

import skyeye_edge as sky
from skyeye_edge.training.data.synthetic import render_scene


def main() -> None:
    """Print what was found, and draw it."""
    if len(sys.argv) > 2:
        image, phrase = Image.open(sys.argv[1]).convert("RGB"), sys.argv[2]
    else:
        scene = render_scene(1_000_000)
        image, phrase = scene.image, scene.phrases[0][0]
    with sky.load() as model:
        hit = model.ground(image, phrase)
    print(f"{phrase}: {hit.outcome}")
    for box in hit.boxes:
        print(f"  at {box.xyxy}, score {box.score:.2f}")
    hit.save("grounded.png")


if __name__ == "__main__":
    main()
