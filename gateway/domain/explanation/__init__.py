"""Why a listing shows what it shows (R32): facts in, an explanation out; pure."""
