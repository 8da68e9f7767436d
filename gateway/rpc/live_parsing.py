"""What several requests of LiveService have in common; errors name the field."""

from gateway.domain.errors import InvalidArgument

NAME_LENGTH_MAX = 100
NOTE_LENGTH_MAX = 500


def name(value: str, field: str) -> str:
    """What people call somebody or something: 1 to 100 printable characters, not all of them spaces."""
    if not value.strip():
        raise InvalidArgument(f"{field} is missing", field=field)
    return optional_name(value, field)


def optional_name(value: str, field: str, length_max: int = NAME_LENGTH_MAX) -> str:
    """The same, or empty."""
    if len(value) > length_max:
        raise InvalidArgument(f"{field} has {len(value)} characters; at most {length_max} are kept", field=field)
    if not value.isprintable():
        raise InvalidArgument(f"{field} holds a character that cannot be printed", field=field)
    return value


def session_id(value: int, *, or_none: bool = False) -> int:
    """A session's number; 0 for none where that may be."""
    return number(value, "session_id", "as OpenSession answered", or_none=or_none)


def number(value: int, field: str, hint: str, *, or_none: bool = False) -> int:
    """A number that something of ours has; 0 for none where that may be."""
    if value < (0 if or_none else 1):
        raise InvalidArgument(f"{field} is a number from 1, {hint}", field=field)
    return value
