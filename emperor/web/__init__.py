"""HTTP: nginx's fallback, the control API, and the pages a visitor may see."""
