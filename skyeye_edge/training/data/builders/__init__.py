"""Conversations made from annotations."""
