"""How far `Headroom` is off: where a class stops keeping its promise, as foretold and as played."""
