"""The project's page: one file, docs/index.html, made from result rows and from what the engine runs for ten images."""
