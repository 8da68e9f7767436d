"""The operators' page: what people watch, decide, rehearse and review by, in a browser."""
