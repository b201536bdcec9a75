"""``emofuse serve``: the page in a browser, and its HTTP API."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from emofuse.cli import options
from emofuse.cli.interrupts import left_to_command
from emofuse.cli.printing import print_remark
from emofuse.cli.quiet import is_quiet
from emofuse.core.errors import MissingExtraError
from emofuse.core.text import shown

if TYPE_CHECKING:
    from emofuse.server.label_studio import LabelStudio
    from emofuse.server.settings import ServerSettings

_MODULES: Final = ("fastapi", "prometheus_client", "python_multipart", "sqlalchemy", "uvicorn", "websockets")
_WHO: Final = "Who may ask"
_STUDIO: Final = "Label Studio"


def serve(
    *,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", rich_help_panel=_WHO,
            help="Where to listen. Any other than this machine's own loopback wants a token.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65_535, help="Where to listen; 0: any free port.")
    ] = 8000,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", show_default="emofuse/service in the user's data folder",
            help="The folder of all that is kept: jobs, recordings, results, profiles. For one service, "
            "unless several share a PostgreSQL database.",
        ),
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", envvar="EMOFUSE_PURPOSE",
            help="What the service is used for. It is kept, and part of every export; until there is one, "
            "nothing is read.",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL", show_default="SQLite in the data folder",
            help="The database of jobs: postgresql://USER@HOST/NAME, with the extra emofuse\\[postgres], or "
            "sqlite:///FILE.",
        ),
    ] = None,
    database_password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", show_default="the password in URL, if there is one",
            help="The file with the password of the database, which others could read in a command.",
        ),
    ] = None,
    folder: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", exists=True, file_okay=False,
            help="A folder whose recordings may be named instead of uploaded. Can be given several times.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=_WHO, show_default="DIR/token for a --host that needs one",
            help="The file with the token that every request must carry; it is made if there is none.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", rich_help_panel=_WHO,
            help="A further name of this service, as of a proxy before it. Can be given several times.",
        ),
    ] = None,
    label_studio: Annotated[
        str | None,
        typer.Option(
            metavar="URL", rich_help_panel=_STUDIO,
            help="Also be the machine learning backend of the Label Studio at this address; there, name the "
            "address of the service with /label-studio after it. Recordings of its local storage are read "
            "where a --folder is its document root.",
        ),
    ] = None,
    label_studio_token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=_STUDIO,
            help="The file with an access token of that Label Studio, with which recordings are fetched from "
            "it, and from nowhere else; without one, none is.",
        ),
    ] = None,
    keep: Annotated[
        str,
        typer.Option(metavar="TIME", help="How long a job is kept after its end: 12h, 7d, 2w, or forever."),
    ] = "7d",
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, show_default="one per core, at least 2",
            help="Processes that read recordings. One of several is kept free of jobs, for what is asked at "
            "once.",
        ),
    ] = None,
    bundle: options.BundleFolder = None,
    _quiet: options.Quiet = False,
) -> None:  # fmt: skip
    """Open emofuse in the browser: a page to drop recordings on, and an HTTP API for other programs.

    The page shows voice and face beside the picture; there, people are named, spans left out, markers set,
    and tables taken away. Recordings and results stay in the data folder, and leave this machine only to
    whoever asks for them here. A killed service loses no accepted job: start it again. Ctrl-C and SIGTERM let
    what runs end for some seconds; jobs that have not ended go on at the next start. Predictions are about
    expression as in the training recordings, not about what somebody feels.

    Example: `emofuse serve`, then open http://127.0.0.1:8000 in a browser

    Example: `emofuse serve --purpose "a study of interviews"`, then `curl -F file=@clip.mp4
    http://127.0.0.1:8000/v1/predictions`

    Example: `emofuse serve --host 0.0.0.0 --token-file token --folder /data/films --keep 30d`
    """
    if any(find_spec(name) is None for name in _MODULES):
        raise MissingExtraError("server", "a local service")
    from emofuse.server.run import serve as run

    settings = _settings(
        host, port, data, purpose, database, database_password_file, folder or [], token_file,
        allow_host or [], keep, workers, bundle, _studio(label_studio, label_studio_token_file),
    )  # fmt: skip
    _log_requests()
    with left_to_command():
        run(settings, lambda address: _say_where(address, settings))
    print_remark("stopped")


def _settings(
    host: str, port: int, data: Path | None, purpose: str | None, database: str | None,
    password_file: Path | None, folders: list[Path], token_file: Path | None, hosts: list[str], keep: str,
    workers: int | None, bundle: Path | None, studio: LabelStudio | None,
) -> ServerSettings:  # fmt: skip
    """What the options mean; what cannot be is a usage error."""
    import platformdirs

    from emofuse.server.jobs.retention import parse_keep
    from emofuse.server.password_file import read_password
    from emofuse.server.purpose import checked_purpose
    from emofuse.server.settings import ServerSettings, default_workers, is_loopback
    from emofuse.server.token_file import read_token

    data = data or platformdirs.user_data_path("emofuse", appauthor=False) / "service"
    if token_file is None and not is_loopback(host):
        token_file = data / "token"
    if password_file is not None and database is None:
        raise typer.BadParameter("--database-password-file is the password of a --database")
    try:
        return ServerSettings(
            data=data, host=host, port=port, database=database,
            database_password=None if password_file is None else read_password(password_file),
            purpose=None if purpose is None else checked_purpose(purpose), folders=tuple(folders),
            token=None if token_file is None else read_token(token_file), token_file=token_file,
            keep_s=parse_keep(keep), workers=workers or default_workers(), bundle=bundle, hosts=tuple(hosts),
            label_studio=studio,
        )  # fmt: skip
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _studio(url: str | None, token_file: Path | None) -> LabelStudio | None:
    """The Label Studio that the service answers."""
    from emofuse.server.label_studio import LabelStudio

    if url is None:
        if token_file is not None:
            raise typer.BadParameter("--label-studio-token-file is of a --label-studio")
        return None
    token = None if token_file is None else token_file.read_text(encoding="ascii", errors="replace").strip()
    if token is not None and (not token.isascii() or not token.isprintable() or not token):
        raise typer.BadParameter(f"{token_file} holds no token: one line of ASCII characters")
    try:
        return LabelStudio(url, token)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _say_where(address: str, settings: ServerSettings) -> None:
    from emofuse.server.purpose import Purpose

    typer.echo(f"emofuse serves at {shown(address)}")  # what it is asked for, also with --quiet
    if settings.token_file is not None:
        print_remark(f"the token is in {shown(str(settings.token_file))}")
    print_remark("open this address in a browser; Ctrl-C ends the service")
    if Purpose(settings.data).get() is None:
        print_remark("nothing is read before somebody has said what for: the page asks first, or --purpose")
    sys.stdout.flush()


def _log_requests() -> None:
    """A line for each request on standard error: method, route, status and time."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("emofuse")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.WARNING if is_quiet() else logging.INFO)
