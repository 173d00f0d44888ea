"""Applying a model: tiles, outputs, attention."""
