"""The recipes' YAML files, importable so that an installed `tasnet` finds them."""
