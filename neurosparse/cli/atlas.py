"""`neurosparse atlas`."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from neurosparse.cli.display import say, show_json
from neurosparse.cli.examples import examples
from neurosparse.cli.options import Json, Where, Window
from neurosparse.cli.program import app
from neurosparse.cli.spikes import notes_on_files, show_spikes


@app.command(
    short_help="Measure sessions of the DANDI archive, fetching their units alone.",
    epilog=examples(
        "neurosparse atlas 000020 --sessions 3",
        "neurosparse atlas 000021 --where quality=good",
        "neurosparse atlas https://example.org/session.nwb --window-ms 5",
    ),
)
def atlas(
    what: Annotated[
        str,
        typer.Argument(
            metavar="DANDISET|URL", help="A dandiset's six digits, or the address of an NWB file."
        ),
    ],
    n_sessions: Annotated[
        int,
        typer.Option(
            "--sessions", metavar="N", help="Of a dandiset: how many files, by path.", min=1
        ),
    ] = 5,
    window_ms: Window = 10.0,
    where: Where = None,
    most_mb: Annotated[
        float, typer.Option(metavar="MB", help="What may be fetched of a session, in MB.", min=0.3)
    ] = 50.0,
    most_s: Annotated[
        float, typer.Option(metavar="S", help="How long a session may be fetched, in s.", min=1)
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Say how sparse the sessions of an archive are.

    Of each NWB file the table of units is read through range requests, and nothing is kept. A
    session that cannot be measured is named, with the reason.
    """
    from neurosparse.activity import ActiveWhen
    from neurosparse.measurement import measure
    from neurosparse.recordings import remote

    if what.startswith(("http://", "https://")):
        chosen = [remote.Session(what, what, 0)]
    else:
        chosen = list(islice(remote.sessions(what), n_sessions))
    if not chosen:
        raise ValueError(f"dandiset {what} has no NWB file")
    active_when, stats, refused = ActiveWhen(window_ms=window_ms), [], []
    for session in chosen:
        try:
            recording = remote.read(
                session.url,
                where=tuple(where or ()),
                name=session.path,
                most_mb=most_mb,
                most_s=most_s,
            )
            provenance = {**recording.provenance, "url": session.url}
            found = measure(
                recording.spikes, active_when=active_when, name=session.path, provenance=provenance
            )
            stats.append(found)
        except (ValueError, OSError) as error:
            refused.append(str(error))
    if not stats:
        raise ValueError(refused[0])
    if as_json:
        show_json({"stats": [s.to_dict() for s in stats], "refused": refused})
        return
    show_spikes(stats)
    for note in notes_on_files(stats):
        say(note)
    for reason in refused:
        say(f"Left out: {reason}.")
