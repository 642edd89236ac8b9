"""How float32 products are computed, so that a row depends neither on its batch nor on the machine's threads."""
