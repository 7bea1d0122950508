"""The preview of a live session in a window or a terminal: composite, matte, timing and hot keys."""
