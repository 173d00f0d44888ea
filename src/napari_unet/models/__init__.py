"""The zoo: one file per paper, and what each network does to space."""
