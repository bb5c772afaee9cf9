"""The edges: each adapter imports its framework inside itself and says which extra installs it."""
