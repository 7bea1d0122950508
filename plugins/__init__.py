"""Plug-ins, one folder for each program that livematte sends frames to.

In the wheel this package is ``livematte.plugins``.
"""
