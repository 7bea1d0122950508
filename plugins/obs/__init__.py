"""OBS Studio plug-in: shows the people as a transparent source in a scene."""
