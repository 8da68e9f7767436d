"""Entry point of `stockgate` and of `python -m gateway`."""

import os
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, and exit."""
    # PostgreSQL is started by fork and exec. gRPC need not prepare for a fork that goes on, nor say that it cannot.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    from gateway.cli.command import main as command  # noqa: PLC0415 - gRPC reads the variable when it is imported

    command()


if __name__ == "__main__":
    main()
