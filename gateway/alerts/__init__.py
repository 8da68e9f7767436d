"""Warnings: the engine that finds them, their streams, what people do about them, rehearsals."""
