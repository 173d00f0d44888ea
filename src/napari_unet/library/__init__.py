"""The model folder: card, parameters, checksums, atomic writes. No torch."""
