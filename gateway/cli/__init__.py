"""The `stockgate` command: a client of the gRPC API like any other, plus the commands that start and tend a gateway."""
