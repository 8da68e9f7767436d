"""Secrets at rest: what a database dump shows of them is noise.

The key is the gateway's, from its environment; the database never sees it. Several keys let it be changed: the first
encrypts, all decrypt.
"""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from gateway.domain.errors import CredentialsLocked

SETTING = "STOCKGATE_CREDENTIALS_KEY"
_ADVICE = f"set {SETTING} where the gateway runs; 'stockgate channel key' makes a key"


class Vault:
    """Encrypts and decrypts with the gateway's keys; without any it refuses to."""

    def __init__(self, keys: str | None) -> None:
        """Take keys joined by commas, each as `Fernet.generate_key` makes them; raises `ValueError` for others."""
        found = [Fernet(key.strip()) for key in (keys or "").split(",") if key.strip()]
        self._fernet = MultiFernet(found) if found else None

    def lock(self, secret: str) -> bytes:
        """Encrypt; raises `CredentialsLocked` without a key."""
        return self._require_key().encrypt(secret.encode())

    def unlock(self, locked: bytes) -> str:
        """Decrypt; raises `CredentialsLocked` without the key that it was encrypted with."""
        try:
            return self._require_key().decrypt(locked).decode()
        except InvalidToken:
            raise CredentialsLocked(
                f"none of the keys in {SETTING} is the one that these credentials were encrypted with; add that key, "
                "after the newer one and a comma, or set the credentials anew"
            ) from None

    def _require_key(self) -> MultiFernet:
        if self._fernet is None:
            raise CredentialsLocked(f"the gateway has no key to keep credentials with: {_ADVICE}")
        return self._fernet
