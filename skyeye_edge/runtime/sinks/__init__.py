"""Where events go: one file per format."""
