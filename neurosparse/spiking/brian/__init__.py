"""Brian2's workshop: models compiled once and run often, as processes of their own."""
