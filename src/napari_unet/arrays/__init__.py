"""One door to pixels: axes, lazy views, mirrored reads, grey values, files."""
