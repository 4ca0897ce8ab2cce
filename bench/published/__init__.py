"""Networks that come from elsewhere: imported, and with uneven channels."""
