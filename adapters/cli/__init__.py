"""The command line, `tailwise`."""

from tailwise.errors import MissingExtra


def main() -> None:
    """Entry point of the `tailwise` command."""
    try:
        from tailwise.adapters.cli.app import app
    except ImportError as error:
        raise SystemExit(
            f"tailwise: {error}; the command line needs: pip install 'tailwise[cli]' for all of it, "
            "'tailwise[gateway]' without `tailwise run`"
        ) from None
    try:
        app()
    except MissingExtra as error:
        raise SystemExit(f"tailwise: {error}") from None
