"""The `spicekit` command: one module for each verb, without logic of their own."""
