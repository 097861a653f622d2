"""Pixels to visual tokens: one file per inference library."""
