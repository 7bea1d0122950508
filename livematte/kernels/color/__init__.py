"""Colours: RGB matrices of pixel formats, and names as in CSS. Importing this package imports nothing."""
