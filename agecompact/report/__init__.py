"""The results of a build folder, as a table, in Markdown and as one HTML page."""
