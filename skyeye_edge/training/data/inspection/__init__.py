"""A look at annotated images before they are learnt: what is wrong, and what there is."""
