"""NIR files, read and written."""
