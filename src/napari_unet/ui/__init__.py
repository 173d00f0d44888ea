"""The docks. Never imports torch."""
