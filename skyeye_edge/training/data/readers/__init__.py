"""Annotation files of other projects, read into records."""
