"""Checkpoints made from weights of others: named files in, a checkpoint folder out, streamed."""
