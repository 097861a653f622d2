"""Encoder and decoder of skyeye-tiny from scratch, before LoRA.

`python -m skyeye_edge.training.pretrain RECIPE DATA -o RUN` makes a base checkpoint on two cores.
What is here serves small models only: a published tower and decoder are imported instead.
"""
