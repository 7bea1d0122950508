"""Runs the panel until Ctrl-C."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from platformdirs import user_config_path

from livematte.errors import InputError, MissingExtraError, OutputError
from livematte.options import PathLike

HOST = "127.0.0.1"


def default_folder() -> Path:
    """Return the folder with the token and, by default, the profiles."""
    return user_config_path("livematte", appauthor=False) / "panel"


def token_file() -> Path:
    """Return the path of the file with the token, which exists afterwards. Raises OutputError."""
    from livematte.panel.token import load_token

    path = default_folder() / "token"
    load_token(path)
    return path


def serve(
    *,
    port: int,
    profiles: PathLike | None = None,
    backgrounds: Sequence[PathLike] = (),
    files: Sequence[PathLike] = (),
    ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve the panel at 127.0.0.1 until the process is interrupted.

    Args:
        port: port of the panel.
        profiles: folder with the profiles; default: the folder ``profiles`` of :func:`default_folder`.
        backgrounds: folders with pictures and videos for the background.
        files: folders with videos to render.
        ready: called with the address, which contains the token, when the panel can be opened.

    Raises:
        MissingExtraError: the extra ``panel`` is not installed.
        InputError: a folder does not exist.
        OutputError: the port is taken, or the token cannot be kept.
    """
    try:
        import tomli_w  # noqa: F401
        import uvicorn
        import websockets  # noqa: F401

        from livematte.panel.app import PanelFolders, make_app
    except ImportError as error:
        raise MissingExtraError("the panel", "panel") from error
    from livematte.panel.token import load_token

    own = default_folder()
    token = load_token(token_file())
    folder = own / "profiles" if profiles is None else Path(profiles)
    if profiles is None:
        folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise InputError(f"the folder {folder} does not exist: create it or name another")
    opened = PanelFolders(folder.resolve(), tuple(map(Path, backgrounds)), tuple(map(Path, files)))
    with _listen(port) as listener:
        app = make_app(opened, token, port)
        config = uvicorn.Config(
            app,
            access_log=False,  # it would contain the token
            log_level="error",
            lifespan="on",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            ws="websockets-sansio",
            ws_max_size=1 << 16,
        )
        ready(f"http://{HOST}:{port}/?token={token}")
        with suppress(KeyboardInterrupt):  # Ctrl-C is how it is ended
            uvicorn.Server(config).run(sockets=[listener])


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        if exclusive is not None:  # otherwise Windows lets other programs bind the same port
            listener.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        elif os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise OutputError(
            f"port {port} cannot be used ({error.strerror or error}): is a panel running already? "
            "Choose another with --port"
        ) from error
    return listener
