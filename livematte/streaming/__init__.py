"""Live: camera in, outputs out, the newest frame wins. :mod:`livematte.streaming.session` is the way in.

``capture`` > ``stages`` (model, composite) > ``gate`` (what viewers may see) > the sender, handed over by
``slots``. ``engine`` runs them, ``governor`` holds the rate, ``control`` and ``sessions`` steer a session
while it runs.
"""
