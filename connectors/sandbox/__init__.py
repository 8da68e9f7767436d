"""The three platforms as local servers, and a crowd of buyers, for rehearsals and for the connectors' tests."""
