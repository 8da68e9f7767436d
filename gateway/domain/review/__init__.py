"""A session, looked back upon (R47): what was recorded of it, how each SKU went, who reacted when, what to change."""
