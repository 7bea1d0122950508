"""Live sessions: camera in, outputs out, latest-value hand-over. The entry point is
:mod:`livematte.streaming.session`.

``capture`` > ``stages`` (model, composite) > ``gate`` (frames that viewers may see) > the sender, connected
by ``latest_value``. ``engine`` runs them in threads, ``governor`` keeps the frame rate, ``control`` and
``session_registry`` control a session while it runs.
"""
