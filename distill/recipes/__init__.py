"""How models that come with the package were made."""
