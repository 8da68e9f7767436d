"""RPC in: translates, validates, authorises. Decides nothing, opens no transaction."""
