"""Encoder and decoder of skyeye-tiny from scratch, before LoRA.

`python -m skyeye_edge.training.pretrain DATA -o RUN` makes a base checkpoint on two CPU cores.
What is here serves small models only: a published tower and decoder are imported instead.
"""
