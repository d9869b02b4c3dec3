"""`neurosparse warm`."""

from __future__ import annotations

from neurosparse.cli.boundary import keeps
from neurosparse.cli.display import bars, say
from neurosparse.cli.examples import examples
from neurosparse.cli.program import app


@app.command(
    short_help="Compile all kernels now, once.",
    epilog=examples("neurosparse warm", "NEUROSPARSE_CACHE=/opt/cache neurosparse warm"),
)
def warm() -> None:
    """Compile all kernels now, so that no later command waits for a compiler.

    It takes about a minute, once for each version of neurosparse. Use it in the image of a
    container, or at the start of tests that share a machine. The compiled code is kept in the
    user's cache folder, or in the folder that NEUROSPARSE_CACHE names.
    """
    from neurosparse import warming
    from neurosparse._internal import places

    keeps("kernels that are compiled are kept: the same command goes on from there")
    with bars({"warm": "kernels"}) as show:
        found = warming.warm(lambda done, text: show("warm", done, text))
    n, folder = sum(found.values()), places.cache_folder("kernels")
    said = f"{n} kernels were compiled." if n else "All kernels were compiled before."
    say(f"{said} They are kept in {folder}" if folder else said)
