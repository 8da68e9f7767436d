"""stockgate: the gateway that owns one true stock ledger."""
