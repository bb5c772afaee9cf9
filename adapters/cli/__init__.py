"""The command line: `tailwise run`."""


def main() -> None:
    """Entry point of the `tailwise` command."""
    try:
        from tailwise.adapters.cli.app import app
    except ImportError as error:
        raise SystemExit(f"tailwise: {error}; the command line needs: pip install 'tailwise[cli]'") from None
    app()
