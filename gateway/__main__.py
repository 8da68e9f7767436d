"""Entry point of `stockgate` and of `python -m gateway`."""

from gateway.cli.command import main

if __name__ == "__main__":
    main()
