"""Runs the example programs under Xvfb."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENT = {
    "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
    "WEBKIT_DISABLE_DMABUF_RENDERER": "1",
    "LIBGL_ALWAYS_SOFTWARE": "1",
    "GDK_BACKEND": "x11",
    "NO_AT_BRIDGE": "1",
    # No service of the desktop is started.
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
}


# The folder of the programs: that of `cargo build`, or that of `cargo build --release`.
profile = os.environ.get("PROFILE", "debug")


def path(name):
    """The path of a program of `cargo build`."""
    return str(pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target")) / profile / name)


def run(name, *arguments):
    """Runs a program of `cargo build`, in a profile of its own, until it ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        profile = {"HOME": home, "XDG_DATA_HOME": home, "XDG_CACHE_HOME": home}
        try:
            ended = subprocess.run(
                [path(name), *arguments],
                env={**os.environ, **ENVIRONMENT, **profile},
                capture_output=True,
                text=True,
                timeout=60,
            )
        except subprocess.TimeoutExpired:
            # What has not arrived by then counts as lost.
            print(f"{name} {' '.join(arguments)}: it does not end", file=sys.stderr)
            return
    if os.environ.get("VERBOSE"):
        print(ended.stdout, ended.stderr, sep="\n", file=sys.stderr)
    # SIGTERM ends an app without a handler, and is 143 with one.
    if ended.returncode not in (0, 143, -15):
        raise SystemExit(f"{name} {' '.join(arguments)}: code {ended.returncode}\n{ended.stderr}")


def with_display(main):
    """Calls `main`, on a display of Xvfb if there is none."""
    if "DISPLAY" in os.environ:
        main()
    elif shutil.which("xvfb-run"):
        os.execvp("xvfb-run", ["xvfb-run", "--auto-servernum", sys.executable, *sys.argv])
    else:
        raise SystemExit("there is neither a display nor xvfb-run")
