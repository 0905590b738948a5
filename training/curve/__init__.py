"""What more labels would give: scores at growing shares of the data, and a power law through them."""
