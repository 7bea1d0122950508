"""OBS Studio: people as a transparent source in a scene."""
