"""Float32 arithmetic in which a row's result depends neither on its batch nor on the number of threads."""
