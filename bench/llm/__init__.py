"""Real language models: two llama.cpp servers behind tailwise's gateway and behind what else one would use."""
