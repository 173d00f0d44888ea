"""The tests of napari-unet-lab, room by room."""
