"""The wire contract: what `make proto` generates from `proto/gateway/v1`. Every other file here is never edited."""
