"""Pages in a browser: its installed Chromium, packages of npm, and a server for a folder."""
