"""Who may ask: API keys with scopes, and how many ads each key may send."""
