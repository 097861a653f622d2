"""All metadata of skyeye-edge; pyproject.toml holds the build system and tool settings only."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
VERSION_FILE = (HERE / "skyeye_edge" / "_version.py").read_text("utf-8")
VERSION = re.search(r'^__version__ = "([^"]+)"', VERSION_FILE, re.M)
assert VERSION is not None

# Lower bounds only: the exact versions of development stand in constraints.txt.
BASE = ["numpy>=1.26", "pillow>=10", "pyyaml>=6", "rich>=13", "shtab>=1.7"]
# What every runtime needs, without the two distributions that come in rival flavours.
RUNTIME_COMMON = ["llama-cpp-python>=0.3.36,<0.4", "av>=12"]
TRAINING = [
    "torch>=2.6",
    "transformers>=4.50",
    "peft>=0.15",
    "accelerate>=1.2",
    "safetensors>=0.5",
    "sentencepiece>=0.2",
    "imagehash>=4.3",
    "tensorboard>=2.18",
    "matplotlib>=3.9",
    "av>=12",
]
EVALUATION = ["pycocoevalcap>=1.2", "pycocotools>=2.0.2", "matplotlib>=3.9"]
SUPERVISION = ["supervision>=0.31"]
MQTT = ["paho-mqtt>=2.1,<3"]
EXPORT = ["onnx>=1.17", "onnxscript>=0.5", "gguf>=0.10"]

EXTRAS: dict[str, list[str]] = {
    # onnxruntime and onnxruntime-gpu share one module, and so do opencv-python and its headless
    # twin: each of these extras names exactly one of both, and no two of them are combined.
    "runtime": [*RUNTIME_COMMON, "onnxruntime>=1.18", "opencv-python>=4.9"],
    "runtime-headless": [*RUNTIME_COMMON, "onnxruntime>=1.18", "opencv-python-headless>=4.9"],
    "runtime-gpu": [*RUNTIME_COMMON, "onnxruntime-gpu>=1.18", "opencv-python>=4.9"],
    # Boards whose system image brings its own onnxruntime and OpenCV.
    "jetson": RUNTIME_COMMON,
    # Added on top of runtime-gpu.
    "tensorrt": ["tensorrt>=10"],
    "tensorrt-rtx": ["tensorrt-rtx>=1.0"],
    # Boxes for its annotators, trackers and zones; before 0.31 it brought an OpenCV of its own.
    "supervision": SUPERVISION,
    # A broker as a sink of events: watch --sink mqtt://host/prefix.
    "mqtt": MQTT,
    "training": TRAINING,
    "evaluation": EVALUATION,
    # Added on top of training and one runtime flavour.
    "export": EXPORT,
    # The tools only; `make test` adds the other extras and one runtime flavour to it.
    "dev": [
        "build>=1.2",
        "coverage[toml]>=7.6",
        "hypothesis>=6.100",
        "import-linter>=2.2",
        "jsonschema>=4.20",
        "mypy>=1.15",
        "pysubs2>=1.7",
        "pytest>=8.3",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "ruff>=0.11",
        "setuptools>=77",
    ],
}
EXTRAS["all"] = [*EXTRAS["runtime"], *TRAINING, *EVALUATION, *EXPORT, *SUPERVISION, *MQTT]
EXTRAS = {name: list(dict.fromkeys(needs)) for name, needs in EXTRAS.items()}

setup(
    name="skyeye-edge",
    version=VERSION[1],
    description="Captions, boxes and answers from drone video, on the machine at the flight line",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    # `include` matters: without it the links training, export and runtime at the top would be
    # found as three more packages and installed under those bare names.
    packages=find_packages(include=["skyeye_edge", "skyeye_edge.*"]),
    package_data={
        "skyeye_edge": ["py.typed", "assets/**/*"],
        "skyeye_edge.training": ["recipes/*.yaml"],
    },
    include_package_data=False,
    zip_safe=False,
    install_requires=BASE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["skyeye-edge=skyeye_edge.cli:main"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "Operating System :: POSIX :: Linux",
        "Typing :: Typed",
    ],
)
