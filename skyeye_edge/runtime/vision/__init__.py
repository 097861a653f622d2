"""Vision encoders: pixel values to visual tokens, one file per library."""
