"""Numbers as tables of text, for the screen, for papers and for the page."""
