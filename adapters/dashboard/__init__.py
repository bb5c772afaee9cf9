"""The dashboard: a page, its style and its script, as `tailwise.adapters.admin` serves them."""
