"""Training samples: where they are read from, made and joined into batches."""
