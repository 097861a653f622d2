"""The architecture: EVA vision transformer, aligner, decoder."""
