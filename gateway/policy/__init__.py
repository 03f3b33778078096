"""May you? ``path`` (the one spelling of a request target) → ``route`` (where it leads, and whether it changes something). All pure."""
