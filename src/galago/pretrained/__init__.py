"""Published weights by name: the table, the download, what is trusted, the conversion."""
