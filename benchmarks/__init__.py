"""The studies that ship with the project, as TOML files."""
