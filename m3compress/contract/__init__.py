"""What every room may import: manifest, evaluations, neighbour tables, files. Needs no torch."""
