"""The documentation as a site, which Sphinx makes of the Markdown in docs/."""
