"""Virtual camera plug-in: sends live frames to a camera that other programs list as a webcam."""
