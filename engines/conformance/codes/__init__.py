"""How the contract drives each runtime and MD code: as their users do."""
