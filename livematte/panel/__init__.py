"""The panel: a local web page that shows, starts, changes and stops live sessions, and renders files.

It is a process of its own. Sessions and renders are child processes, so the panel never delays them, and
sessions go on without it. The entry point is :func:`livematte.panel.server.serve`; its libraries are in the
extra ``panel``.

``guard`` lets only the user in, ``hub`` holds a connection to each session, ``folders`` confines every path,
``render_queue`` renders files, ``app`` has the addresses, ``static`` the page.
"""
