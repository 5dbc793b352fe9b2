"""Where every file came from and where every video went, asked of the records."""
