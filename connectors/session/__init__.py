"""Live sessions rehearsed: the platforms' sandbox, buyers, agents and a gateway, and a judge who sees it all."""
