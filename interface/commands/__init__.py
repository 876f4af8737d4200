"""The commands of the command line, one a module. Heavy libraries are imported by the command that needs them."""
