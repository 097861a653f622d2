"""From frames to events: the bundle, ONNX Runtime and llama.cpp over images and video."""
