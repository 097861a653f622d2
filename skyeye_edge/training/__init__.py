"""From pictures to a merged checkpoint: data, model, recipes and trainer."""
