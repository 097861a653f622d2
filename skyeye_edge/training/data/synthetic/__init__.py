"""The procedural aerial world: scenes and flights with exact truth."""
