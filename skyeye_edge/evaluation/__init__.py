"""Metrics and reports over anything that has `run(image, tasks)`."""
