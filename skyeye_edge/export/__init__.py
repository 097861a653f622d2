"""From a merged checkpoint to a bundle."""
