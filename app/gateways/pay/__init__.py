"""WeChat Pay v3: merchant transfers and their callbacks (platform contracts section 4)."""
