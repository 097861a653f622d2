"""The one place where the version is written; CHANGELOG.md has the same on top."""

__version__ = "0.1.0"
